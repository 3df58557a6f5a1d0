-- wrk asks with a header that no other request has.
local asked = 0

function request()
   asked = asked + 1
   wrk.headers["X-Request-Id"] = tostring(asked)
   return wrk.format()
end
