-- The endpoints on :9090 that marathon-lb's scripts and dashboards ask, as HTTP services.
--
-- They answer from memory: each asks its own HAProxy over unix sockets and shows backends under
-- their true names, as the ledger map tells them.
--
-- lua-load endpoints.lua COMMAND-SOCKET MASTER-SOCKET|- CONFIG-FILE STATS-SOCKET STATE-FOLDER
--
-- or, for HAProxy 2.6, the same five words by `setenv MLB_ENDPOINTS "..."` before `lua-load`.
--
-- The command socket has level admin: from HAProxy 3.3 on, `show map` is refused below it.
-- Services: getvhostmap getappmap getconfig getpids mlb_stats mlb_metrics
-- signalmlbhup signalmlbusr1, which ask the sidecar for something
-- Needs HAProxy 2.6 or later, and `lua-prepend-path` for lib/.
-- SPDX-License-Identifier: Apache-2.0

local answers = require("lib.answers")
local ledger = require("lib.ledger")
local listing = require("lib.listing")
local metrics = require("lib.metrics")
local processes = require("lib.processes")
local sockets = require("lib.sockets")
local stats = require("lib.stats")

local USAGE = "endpoints.lua takes five arguments: the command socket, the master socket (- for "
    .. "none), the configuration file, the internal stats socket and the state folder"

local VHOST_MAPS = { "domain2backend.map", "hostpath2backend.map", "hostpathi2backend.map" }

-- A reload closes the master's connections, so a cut-off answer is asked for again.
local MASTER_TRIES = 3
local MASTER_SECONDS = 1
local MASTER_PAUSE_MS = 100

-- The sidecar only notes what it is asked for, in a thread of its own.
local SIDECAR_SECONDS = 3

local function arguments(...)
    local given = { ... }
    if #given == 0 then -- HAProxy 2.6 passes none to a script
        for word in (os.getenv("MLB_ENDPOINTS") or ""):gmatch("%S+") do
            given[#given + 1] = word
        end
    end
    if #given ~= 5 then
        error(("%s; there are %d"):format(USAGE, #given), 0)
    end
    for index, value in ipairs(given) do
        if value:sub(1, 1) ~= "/" and not (index == 2 and value == "-") then
            error(("%s; argument %d is no absolute path: '%s'"):format(USAGE, index, value), 0)
        end
    end
    return {
        command = given[1],
        master = given[2] ~= "-" and given[2] or nil,
        config = given[3],
        stats = given[4],
        folder = given[5]:gsub("/+$", ""),
    }
end

local at = arguments(...)

-- HAProxy's own map, with what commands have changed in it.
local LEDGER = Map.new(at.folder .. "/backend2app.map", Map._str)

local names = ledger.names(function(backend)
    return LEDGER:lookup(backend)
end)

local function read_file(path)
    local file = io.open(path, "r")
    local text = file and file:read("a")
    if file then
        file:close()
    end
    return text
end

-- Returns a map's entries; or nil and a sentence.
local function read_map(name, deadline)
    local file = at.folder .. "/" .. name
    -- With pointers, HAProxy's reply is up to twice as long as the file, which is written some
    -- seconds after a change, with true names; old news are better than none.
    local text = sockets.whole and read_file(file) or ""
    if sockets.whole and #text * 2 > sockets.whole then
        return ledger.written(text)
    end
    local reply, problem = sockets.command(at.command, "show map " .. file, deadline)
    if not reply then
        return nil, problem
    end
    local entries, refusal = ledger.entries(reply)
    return entries, refusal and ("HAProxy has no map %s: %s"):format(file, refusal)
end

-- Returns the entries of the maps named; or nil and a sentence.
local function read_maps(files)
    local deadline = sockets.deadline()
    local maps = {}
    for index, file in ipairs(files) do
        local entries, problem = read_map(file, deadline)
        if not entries then
            return nil, problem
        end
        maps[index] = entries
    end
    return maps
end

local function vhost_map(applet)
    local maps, problem = read_maps(VHOST_MAPS)
    if not maps then
        return answers.failure(applet, 503, problem)
    end
    local hosts = listing.plain(maps[1], names)
    answers.text(applet, hosts .. listing.ranked({ maps[2], maps[3] }, names))
end

local function app_map(applet)
    local maps, problem = read_maps({ "app2backend.map" })
    if not maps then
        return answers.failure(applet, 503, problem)
    end
    answers.text(applet, listing.plain(maps[1], names))
end

-- A plain read blocks, but a local file of this size is in the page cache.
local function config(applet)
    local text = read_file(at.config)
    if not text then
        return answers.failure(applet, 404, ("%s cannot be read"):format(at.config))
    end
    answers.text(applet, text)
end

local function master_pids()
    for try = 1, at.master and MASTER_TRIES or 0 do
        if try > 1 then
            core.msleep(MASTER_PAUSE_MS)
        end
        local deadline = sockets.deadline(MASTER_SECONDS)
        local reply = sockets.master_command(at.master, "show proc", deadline)
        local found = processes.pids(reply or "")
        if #found > 0 then
            return found
        end
    end
    return nil
end

local function pids(applet)
    local found = master_pids()
    if not found then
        local reply, problem = sockets.command(at.command, "show info", sockets.deadline())
        if not reply then
            return answers.failure(applet, 503, problem)
        end
        found = processes.own_pid(reply)
    end
    answers.text(applet, table.concat(found, " ") .. "\n")
end

-- Passes a page of the internal frontend on, rewritten.
local function pass_on(applet, target, rewriter)
    local page, problem = sockets.get(at.stats, target, sockets.deadline(), rewriter)
    if not page then
        return answers.failure(applet, 503, problem)
    end
    answers.pieces(applet, page.pieces, {
        ["Content-Type"] = page.head["content-type"],
        ["Refresh"] = page.head["refresh"],
    })
end

local function stats_page(applet)
    local query, in_scope = ledger.scoped(applet.qs, names)
    pass_on(applet, "/haproxy?" .. query, function(content_type)
        return stats.rewriter(in_scope, content_type, query)
    end)
end

local function metrics_page(applet)
    local query = applet.qs ~= "" and "?" .. applet.qs or ""
    pass_on(applet, "/metrics" .. query, function()
        return metrics.rewriter(names)
    end)
end

-- Registers a service that reads only.
local function register(name, service)
    core.register_service(name, "http", function(applet)
        if applet.method ~= "GET" and applet.method ~= "HEAD" then
            return answers.failure(applet, 405, "This can only be read, with GET", "GET, HEAD")
        elseif applet.qs:find("[%c%s]") then
            return answers.failure(applet, 400, "The query has characters that no URL has")
        end
        service(applet)
    end)
end

-- Registers a service that asks the sidecar for something, at its socket in the state folder.
local function register_signal(name, target, done)
    core.register_service(name, "http", function(applet)
        if applet.method ~= "GET" and applet.method ~= "POST" then
            local sentence = "This can only be asked for, with GET or POST"
            return answers.failure(applet, 405, sentence, "GET, POST")
        end
        local socket = at.folder .. "/sidecar.sock"
        local taken, problem = sockets.post(socket, target, sockets.deadline(SIDECAR_SECONDS))
        if not taken then
            return answers.failure(applet, 503, "The sidecar cannot be reached: " .. problem)
        end
        answers.text(applet, done .. "\n")
    end)
end

register("getvhostmap", vhost_map)
register("getappmap", app_map)
register("getconfig", config)
register("getpids", pids)
register("mlb_stats", stats_page)
register("mlb_metrics", metrics_page)
register_signal("signalmlbhup", "/resync", "SIGHUP taken: Marathon is fetched again")
register_signal("signalmlbusr1", "/reload", "SIGUSR1 taken: HAProxy is reloaded with what it has")
