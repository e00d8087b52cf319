-- Asks for another path each time, in turn; the paths are the lines of the file named after wrk's `--`.
local requests = {}
local position = 0

function init(arguments)
  for path in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format(nil, path)
  end
end

function request()
  position = position % #requests + 1
  return requests[position]
end
