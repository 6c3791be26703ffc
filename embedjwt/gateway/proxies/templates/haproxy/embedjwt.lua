-- Asks embedjwt whether a request to Grafana may pass.
-- Save as /etc/haproxy/embedjwt.lua, which haproxy.cfg loads.

local URL = "http://{{ site.embedjwt }}/gateway/auth"
local HEADER = "{{ site.header_name | lower }}"
local TIMEOUT = 5000 -- milliseconds, of each of the four tries that HAProxy makes
local LARGEST_PAGE = 32768 -- bytes

local PAGE = '{{ unavailable_page }}'
local PROBLEM = '{{ unavailable_problem }}'

-- These are of one connection (RFC 9110, section 7.6.1), or of the body that is not sent.
local NOT_SENT = {
    ["connection"] = true, ["content-encoding"] = true, ["content-length"] = true,
    ["content-type"] = true, ["expect"] = true, ["host"] = true, ["keep-alive"] = true,
    ["proxy-connection"] = true, ["te"] = true, ["trailer"] = true,
    ["transfer-encoding"] = true,
}
local NOT_ANSWERED = {
    ["connection"] = true, ["content-length"] = true, ["keep-alive"] = true,
    ["transfer-encoding"] = true, [HEADER] = true,
}

local function listed(values)
    local list = {}
    local index = values[0] and 0 or 1
    while values[index] do
        list[#list + 1] = values[index]
        index = index + 1
    end
    return list
end

local function refuse(txn, status, headers, body)
    txn:done(txn:reply({ status = status, headers = headers, body = body }))
end

-- Where a person waits, a page says so; scripts get JSON.
local function unavailable(txn, headers)
    local function has(name, part)
        return headers[name] and table.concat(headers[name], ","):find(part, 1, true)
    end
    local fetched = headers["sec-fetch-mode"]
    local reads = not fetched and txn.f:method() == "GET" and has("accept", "text/html")
    local person = has("sec-fetch-mode", "navigate") or reads
    refuse(txn, 503, {
        ["content-type"] = { person and "text/html" or "application/problem+json" },
        ["cache-control"] = { "no-store" },
        ["retry-after"] = { "5" },
    }, person and PAGE or PROBLEM)
end

core.register_action("embedjwt", { "http-req" }, function(txn)
    local headers = {}
    for name, values in pairs(txn.http:req_get_headers()) do
        if not NOT_SENT[name] then
            headers[name] = listed(values)
        end
    end
    if txn.f:nbsrv("embedjwt") == 0 then
        return unavailable(txn, headers)
    end
    headers["x-forwarded-method"] = { txn.f:method() }
    headers["x-forwarded-uri"] = { txn.f:pathq() }

    local answer = core.httpclient():get({ url = URL, headers = headers, timeout = TIMEOUT })
    if not answer or not answer.status or answer.status == 0 then
        return unavailable(txn, headers)
    end
    local told = answer.headers or {}
    if answer.status == 200 then
        local token = told[HEADER] and listed(told[HEADER])[1]
        if not token or token == "" then
            return unavailable(txn, headers)
        end
        txn:set_var("txn.embedjwt_token", token)
        return
    end
    -- HAProxy's client makes a page of its own where it gets no answer; embedjwt's are not stored.
    local stored = listed(told["cache-control"] or {})[1] ~= "no-store"
    local body = answer.body or ""
    if answer.status < 300 or #body > LARGEST_PAGE or (answer.status >= 500 and stored) then
        return unavailable(txn, headers)
    end
    local passed = {}
    for name, values in pairs(told) do
        if not NOT_ANSWERED[name] then
            passed[name] = listed(values)
        end
    end
    refuse(txn, answer.status, passed, body)
end, 0)
