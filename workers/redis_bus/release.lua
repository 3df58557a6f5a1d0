-- Gives a room up. The generation stays for a while: an owner of before that was frozen must not come back.
--
-- KEYS  the room's owner
-- ARGV  node, generation, milliseconds for which the generation stays
local owner = redis.call('HMGET', KEYS[1], 'node', 'gen')
if owner[1] == ARGV[1] and tonumber(owner[2] or 0) <= tonumber(ARGV[2]) then
  redis.call('HDEL', KEYS[1], 'node', 'url')
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 0
