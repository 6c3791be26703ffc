-- Asks embedjwt whether a request to the Grafana at {{ site.url }} may pass.
-- Save as /etc/haproxy/embedjwt.lua, which haproxy.cfg loads.

local URL = "http://{{ site.embedjwt }}/gateway/auth"
local HEADER = "{{ site.header_name | lower }}"
local TIMEOUT = 5000 -- milliseconds, of each of the four tries that HAProxy makes
local LARGEST_PAGE = 32768 -- bytes

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

local function unavailable(txn)
    refuse(txn, 503, {
        ["content-type"] = { "application/problem+json" },
        ["cache-control"] = { "no-store" },
        ["retry-after"] = { "5" },
    }, '{"type":"about:blank","title":"Service Unavailable","status":503,'
        .. '"code":"gateway_unavailable","detail":"embedjwt does not answer"}')
end

core.register_action("embedjwt", { "http-req" }, function(txn)
    local headers = {}
    for name, values in pairs(txn.http:req_get_headers()) do
        if not NOT_SENT[name] then
            headers[name] = listed(values)
        end
    end
    headers["x-forwarded-method"] = { txn.f:method() }
    headers["x-forwarded-uri"] = { txn.f:pathq() }

    local answer = core.httpclient():get({ url = URL, headers = headers, timeout = TIMEOUT })
    if not answer or not answer.status or answer.status == 0 then
        return unavailable(txn)
    end
    local told = answer.headers or {}
    if answer.status == 200 then
        local token = told[HEADER] and listed(told[HEADER])[1]
        if not token or token == "" then
            return unavailable(txn)
        end
        txn:set_var("txn.embedjwt_token", token)
        return
    end
    local body = answer.body or ""
    if answer.status < 300 or answer.status > 599 or #body > LARGEST_PAGE then
        return unavailable(txn)
    end
    local passed = {}
    for name, values in pairs(told) do
        if not NOT_ANSWERED[name] then
            passed[name] = listed(values)
        end
    end
    refuse(txn, answer.status, passed, body)
end, 0)
