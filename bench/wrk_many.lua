-- Many paths in turn, each with a token of its own, from a file (a command line would show the tokens).
local targets = {}

-- wrk knows its Host header from here on, not while it reads this file.
function init()
  for line in io.lines(os.getenv("BENCH_TARGETS")) do
    local path, token = line:match("^(%S+) (%S+)$")
    targets[#targets + 1] = wrk.format("POST", path, {["Authorization"] = "Bearer " .. token})
  end
end

local turn = 0
function request()
  turn = turn % #targets + 1
  return targets[turn]
end

-- Latencies are microseconds.
function done(summary, latency, requests)
  local errors = summary.errors
  local bad = errors.status + errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format('\n{"requests": %d, "bad": %d, "p50_us": %d}\n',
    summary.requests, bad, latency:percentile(50)))
end
