-- Appends to a take's stream what follows what is there: all of it, or nothing.
--
-- KEYS  the take's hash, its stream, its events, its room's last generation
-- ARGV  generation of the owner, sample that the first item starts at, number of events before it,
--       milliseconds after which new keys expire, sample below which the stream may forget,
--       then three for each item: kind, sample after it, payload
-- Gives {outcome, top, events, generation}: 'done'; 'generation' when a newer owner has the room, whichever of
-- its takes that one writes; 'unknown' when nothing is known of the take or its owner is older (assert it
-- first); 'elsewhere' when the stream or the events go on somewhere else. `top` and `events` say where; top is -1 for a stream without samples.
--
-- Redis runs no other command meanwhile. A server that is out of memory refuses the first write of a script or
-- none, so nothing is left half done.
local take, stream, events_key = KEYS[1], KEYS[2], KEYS[3]
local generation, at = ARGV[1], ARGV[2]

local state = redis.call('HMGET', take, 'gen', 'top', 'closed')
local top = tonumber(state[2] or -1)
local events = redis.call('LLEN', events_key)
local highest = math.max(tonumber(redis.call('GET', KEYS[4]) or -1), tonumber(state[1] or -1))
if highest > tonumber(generation) then
  return {'generation', top, events, highest}
end
if state[1] ~= generation then
  return {'unknown', top, events, tonumber(state[1] or -1)}
end
if (top >= 0 and top ~= tonumber(at)) or events ~= tonumber(ARGV[3]) then
  return {'elsewhere', top, events, tonumber(generation)}
end

local added = 0
for i = 6, #ARGV, 3 do
  local kind, stop, payload = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if kind == 'event' then
    redis.call('XADD', stream, at .. '-*', 'kind', kind, 'gen', generation, 'event', payload)
    redis.call('RPUSH', events_key, payload)
    added = added + 1
  elseif kind == 'end' then
    if not state[3] then
      redis.call('XADD', stream, at .. '-*', 'kind', kind, 'start', at, 'gen', generation)
      redis.call('HSET', take, 'closed', at)
    end
  else
    if kind == 'pcm' then
      redis.call('XADD', stream, stop .. '-0', 'kind', kind, 'start', at, 'gen', generation, 'pcm', payload)
    else
      redis.call('XADD', stream, stop .. '-0', 'kind', kind, 'start', at, 'gen', generation)
    end
    at = stop
  end
end
redis.call('HSET', take, 'top', at)
redis.call('XTRIM', stream, 'MINID', '~', ARGV[5])
if top < 0 then
  redis.call('PEXPIRE', stream, ARGV[4])
end
if events == 0 and added > 0 then
  redis.call('PEXPIRE', events_key, ARGV[4])
end
return {'done', tonumber(at), events + added, tonumber(generation)}
