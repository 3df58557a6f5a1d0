-- wrk asks for ranges of a file, from anywhere: `wrk … -- FILE_BYTES RANGE_BYTES`.
local last, length

function init(arguments)
   length = tonumber(arguments[2])
   last = tonumber(arguments[1]) - length
end

function request()
   local start = math.random(0, last)
   wrk.headers["Range"] = string.format("bytes=%d-%d", start, start + length - 1)
   return wrk.format()
end
