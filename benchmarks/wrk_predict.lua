-- For wrk: posts the file named in BENCH_BODY over and over, and prints the result as one line of JSON.
-- Without a request function wrk builds the request once, so that the load generator costs next to nothing.
local file = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = os.getenv("BENCH_CONTENT_TYPE")
file:close()

function done(summary, latency, requests)
  local errors = summary.errors
  local latencies = {}
  for percentile in os.getenv("BENCH_PERCENTILES"):gmatch("%S+") do
    latencies[#latencies + 1] = string.format('"%s": %.1f', percentile, latency:percentile(tonumber(percentile)))
  end
  io.write(string.format('\n{"requests": %d, "wall_s": %.6f, "refused": %d, "errors": %d, "latency_us": {%s}}\n',
    summary.requests, summary.duration / 1e6, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    table.concat(latencies, ", ")))
end
