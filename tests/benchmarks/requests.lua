-- wrk script: sends the requests of a file, one a line as METHOD <tab> PATH <tab> BODY, in turn.
-- @@N@@ in a line becomes a number that is new for each request. Prints one line "RESULT {json}".
local lines, n, start = {}, 0, 0

function init(args)
  start = tonumber(args[2])
  wrk.headers["Content-Type"] = "application/json"
  for line in io.lines(args[1]) do
    local method, path, body = line:match("^(%S+)\t(%S+)\t(.*)$")
    local fixed = not line:find("@@N@@", 1, true)
    if body == "" then body = nil end
    lines[#lines + 1] = {method, path, body, fixed and wrk.format(method, path, nil, body)}
  end
end

function request()
  n = n + 1
  local line = lines[(n - 1) % #lines + 1]
  return line[4] or wrk.format(line[1], line[2], nil, (line[3]:gsub("@@N@@", string.format("%.0f", start + n))))
end

function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format('RESULT {"requests": %d, "seconds": %.6f, "p50_ms": %.4f, "p99_ms": %.4f, "bad": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    e.status + e.connect + e.read + e.write + e.timeout))
end
