-- Says who owns a room, and how far generations have come.
--
-- KEYS  the room's owner, its live take, its last generation
-- ARGV  what the keys of its takes' hashes begin with
-- Gives {node, url, generation, live take}: empty where there is none; the generation is the highest there was.
local owner = redis.call('HMGET', KEYS[1], 'node', 'url')
local live = redis.call('GET', KEYS[2])
local written = live and redis.call('HGET', ARGV[1] .. live, 'gen')
local generation = math.max(tonumber(redis.call('GET', KEYS[3]) or 0), tonumber(written or 0))
return {owner[1] or '', owner[2] or '', generation, live or ''}
