-- Asks HAProxy itself: its command sockets and its internal HTTP socket, each by a deadline.
-- SPDX-License-Identifier: Apache-2.0

local M = {}

-- A script's patience; HAProxy answers in milliseconds unless it is stuck.
local PATIENCE_SECONDS = 5

-- The stats CSV of 10,000 servers is 4 MB, their metrics 40 MB. What is held here is held in
-- HAProxy's own memory, so there is an end to it.
local MOST_BYTES = 64 * 1024 * 1024

-- As much as HAProxy's socket buffers give at once.
local BLOCK_BYTES = 16384

-- A script's socket is not told, on these versions, that there is more once an answer has filled a
-- buffer: it waits until its deadline. Seen on 2.6.12 and 3.0.11; not on 2.8.25 and 3.2.26.
local BLIND = { ["2.6"] = true, ["2.7"] = true, ["2.9"] = true, ["3.0"] = true, ["3.1"] = true }

--- The most bytes of an answer that is sure to come whole, nil where there is no such limit.
M.whole = BLIND[core.get_info().Version:match("^%d+%.%d+")] and BLOCK_BYTES or nil

local function now()
    local time = core.now()
    return time.sec + time.usec / 1000000
end

--- Tells until when an answer may take.
-- @param seconds number  from now, without it the usual patience
-- @return number  a time of this process's clock
function M.deadline(seconds)
    return now() + (seconds or PATIENCE_SECONDS)
end

-- HAProxy's socket reports a timeout and a closed connection alike, so neither is told apart here.
local function patient(socket, deadline)
    local left = deadline - now()
    if left <= 0 then
        return nil
    end
    socket:settimeout(left)
    return true
end

local function receive(socket, what, deadline)
    if not patient(socket, deadline) then
        return nil
    end
    local data, _, rest = socket:receive(what)
    return data, rest
end

-- Sends a text to a unix socket and gives the connection to `read`, which returns what it made of
-- the answer, or nil and the end of a sentence that begins with the socket's path.
local function ask(path, text, deadline, read)
    local socket = core.tcp()
    local result, problem = nil, "does not answer"
    if patient(socket, deadline) and socket:connect("unix@" .. path) and socket:send(text) then
        result, problem = read(socket)
    end
    socket:close()
    return result, result == nil and path .. " " .. (problem or "ended its answer early") or nil
end

--- Sends one command to a stats socket and reads its answer to the end.
-- @param path string  the socket
-- @param command string  without its newline
-- @param deadline number  see `deadline`
-- @return string  the answer; or nil and a sentence
function M.command(path, command, deadline)
    return ask(path, command .. "\n", deadline, function(socket)
        local blocks, size = {}, 0
        while size <= MOST_BYTES do
            local data, rest = receive(socket, BLOCK_BYTES, deadline)
            blocks[#blocks + 1] = data or rest
            if not data then
                -- Every answer ends with an empty line, so one without it was cut off.
                local answer = table.concat(blocks)
                return ("\n" .. answer):find("\n\n$") and answer or nil
            end
            size = size + #data
        end
        return nil, "answers more than can be shown"
    end)
end

--- Sends one command to the master's socket, which leaves the connection open after its answer.
-- @param path string  the socket
-- @param command string  without its newline; its answer must have no empty line but the last
-- @param deadline number  see `deadline`
-- @return string  the answer up to its empty line; or nil and a sentence
function M.master_command(path, command, deadline)
    return ask(path, command .. "\n", deadline, function(socket)
        local lines = {}
        while true do
            local line = receive(socket, "*l", deadline)
            if not line then
                return nil
            elseif line == "" then
                return table.concat(lines, "\n")
            end
            lines[#lines + 1] = line
        end
    end)
end

local function read_head(socket, deadline)
    local line = receive(socket, "*l", deadline)
    local head = { status = tonumber((line or ""):match("^HTTP/%d%.%d (%d%d%d)")) }
    while line and line ~= "" and line ~= "\r" do
        line = receive(socket, "*l", deadline)
        local name, value = (line or ""):match("^([%w-]+):%s*(.-)\r?$")
        if name then
            head[name:lower()] = value
        end
    end
    return line and head
end

-- Returns the next chunk, "" for the last, nil when there is none to come.
local function read_chunk(socket, deadline)
    local digits = (receive(socket, "*l", deadline) or ""):match("^%x+")
    local size = digits and tonumber(digits, 16)
    local data = size == 0 and "" or size and receive(socket, size, deadline)
    return data and receive(socket, "*l", deadline) and data
end

-- Reads a chunked body, each chunk rewritten as it comes.
local function read_body(socket, deadline, rewrite)
    local pieces, size = {}, 0
    while size <= MOST_BYTES do
        local chunk = read_chunk(socket, deadline)
        if not chunk then
            return nil
        end
        local piece = rewrite(chunk, chunk == "")
        size = size + #piece
        pieces[#pieces + 1] = piece
        if chunk == "" then
            return pieces
        end
    end
    return nil, "answers more than can be shown"
end

-- Fetches by HAProxy's own client, which cannot tell half an answer from a whole one: good only to
-- ask this very process, which ends after whoever it answers.
local function get_by_client(path, target, deadline, rewriter)
    local answer = core.httpclient():get({
        url = "http://localhost" .. target,
        dst = "unix@" .. path,
        timeout = math.max(1, math.floor((deadline - now()) * 1000)),
    })
    if answer.status ~= 200 then
        return nil, path .. " answers with status " .. tostring(answer.status)
    end
    local head = {}
    for name, values in pairs(answer.headers) do
        head[name:lower()] = values[0]
    end
    local rewrite = rewriter(head["content-type"] or "")
    return { pieces = { rewrite(answer.body, true) }, head = head }
end

--- Fetches from the internal frontend, which answers in chunks whatever is asked.
-- @param path string  its socket
-- @param target string  path and query
-- @param deadline number  see `deadline`
-- @param rewriter function  takes the content type, returns a rewriter (see `lib.records`)
-- @return table  `pieces` and `head`; or nil and a sentence
function M.get(path, target, deadline, rewriter)
    if M.whole then
        return get_by_client(path, target, deadline, rewriter)
    end
    local request = "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    return ask(path, request:format(target), deadline, function(socket)
        local head = read_head(socket, deadline)
        if not head then
            return nil
        end
        if head.status ~= 200 or head["transfer-encoding"] ~= "chunked" then
            return nil, "answers with status " .. tostring(head.status)
        end
        local rewrite = rewriter(head["content-type"] or "")
        local pieces, problem = read_body(socket, deadline, rewrite)
        return pieces and { pieces = pieces, head = head }, problem
    end)
end

--- Posts to a server on a unix socket, without a body.
-- @param path string  its socket
-- @param target string  the path asked for
-- @param deadline number  see `deadline`
-- @return table  `status` and `body`, which is a block at most; or nil and a sentence
function M.exchange(path, target, deadline)
    local request = "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"
        .. "Connection: close\r\n\r\n"
    return ask(path, request:format(target), deadline, function(socket)
        local head = read_head(socket, deadline)
        if not (head and head.status) then
            return nil, "does not answer"
        end
        local length = math.min(tonumber(head["content-length"]) or 0, BLOCK_BYTES)
        local body = length > 0 and receive(socket, length, deadline)
        return { status = head.status, body = body or "" }
    end)
end

--- Posts likewise, and looks at the status alone.
-- @return boolean  true for a status of the 200s; or nil and a sentence
function M.post(path, target, deadline)
    local reply, problem = M.exchange(path, target, deadline)
    if reply and (reply.status < 200 or reply.status > 299) then
        return nil, path .. " answers with status " .. reply.status
    end
    return reply and true, problem
end

return M
