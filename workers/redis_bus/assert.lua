-- Says what is known of a take, keeps its keys alive, and gives what this Redis has of it.
--
-- KEYS  the take's hash, its stream, its events, its room's live take, its room's last generation
-- ARGV  generation of the owner, milliseconds after which the keys expire, the take's id,
--       '1' while it lives and '0' when it is over, then the fields of the hash and their values in turn
-- Gives {outcome, top, events, generation, closed, delivered}: outcome is 'done', or 'generation' when a newer
-- owner has the room, whichever of its takes that one writes (then nothing is changed); top is -1 for a stream without samples; closed and delivered are 0 or 1.
local take, stream, events_key, live = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local generation, expires, id = ARGV[1], ARGV[2], ARGV[3]

local state = redis.call('HMGET', take, 'gen', 'top', 'closed', 'delivered')
local top = tonumber(state[2] or -1)
local events = redis.call('LLEN', events_key)
local highest = math.max(tonumber(redis.call('GET', KEYS[5]) or -1), tonumber(state[1] or -1))
if highest > tonumber(generation) then
  return {'generation', top, events, highest, 0, 0}
end

redis.call('HSET', take, 'gen', generation, unpack(ARGV, 5))
for i = 1, 3 do
  redis.call('PEXPIRE', KEYS[i], expires)
end
if ARGV[4] == '1' then
  redis.call('SET', live, id, 'PX', expires)
elseif redis.call('GET', live) == id then
  redis.call('DEL', live)
end
return {
  'done', top, events, tonumber(generation), state[3] and 1 or 0, state[4] and 1 or 0
}
