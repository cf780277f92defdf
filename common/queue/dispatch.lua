-- Hold each organization to its limit in a stage, and serve the backlogs round robin. A step costs the same
-- whatever waits and however many organizations there are. `dispatch.py` describes the keys and the requests.
local call, request = redis.call, cjson.decode(ARGV[1])
local HALTED = 'inf' -- the turn of an organization that is not served: at its limit, or not to be served now

local function key(kind, stage) return 'imports:' .. kind .. ':' .. stage.name end
local function backlog_of(stage, organization) return key('backlog', stage) .. ':' .. organization end

-- What somebody else has written into a count must stop nobody.
local function number(text)
  local found = tonumber(text)
  return found and found >= 0 and found < 2 ^ 53 and found or 0
end
local function active(stage, organization) return number(call('HGET', key('active', stage), organization)) end
local function count(stage, organization, change)
  local amount = active(stage, organization) + change
  if amount > 0 then
    call('HSET', key('active', stage), organization, amount)
  else
    call('HDEL', key('active', stage), organization)
  end
end
local function turn()
  local next = string.format('%.0f', number(call('GET', 'imports:turn')) + 1)
  call('SET', 'imports:turn', next)
  return next
end

-- Write the message as dramatiq's own enqueue does. An id that would break its JSON is none of ours.
local function send(stage, organization, document)
  if not string.match(document .. organization, '^[%w_-]+$') then return end
  local entry, id = organization .. '|' .. document, document .. ':' .. turn()
  if call('ZADD', key('dispatched', stage), request.now + stage.patience, entry) == 1 then
    count(stage, organization, 1)
  end
  call('HSET', key('messages', stage), entry, id)
  call('HSET', stage.queue .. '.msgs', id, string.format(stage.message, document, organization, id, id, request.now))
  call('RPUSH', stage.queue, id)
  call('ZADD', 'imports:recent', request.now, organization)
  call('ZREMRANGEBYSCORE', 'imports:recent', '-inf', request.now - request.fresh)
end

-- Give the place of a document free, whatever became of it.
local function release(stage, organization, document)
  local entry = organization .. '|' .. document
  if call('ZREM', key('dispatched', stage), entry) == 1 then count(stage, organization, -1) end
  call('HDEL', key('messages', stage), entry)
end

-- Whether another organization was served of late, is at work and has nothing waiting: its next step comes soon.
-- One whose work hangs is none. A few of them are looked at, so that the cost of a step stays the same.
local FETCH, RENDER = {name = 'fetch'}, {name = 'render'}
local function has_guest(organization)
  local recent = call('ZREVRANGEBYSCORE', 'imports:recent', '+inf', request.now - request.fresh, 'LIMIT', 0, 8)
  for _, other in ipairs(recent) do
    if other ~= organization and active(FETCH, other) + active(RENDER, other) > 0
      and not call('ZSCORE', key('backlogs', FETCH), other)
      and not call('ZSCORE', key('backlogs', RENDER), other) then
      return true
    end
  end
  return false
end

-- Lower a limit: what is fetched and cannot be rendered soon only takes the stores from others, and beside one that
-- has a single import now and then, a worker is kept free for it.
local function within(stage, organization, limit)
  local ahead = stage.ahead and call('ZCARD', 'imports:backlog:' .. stage.ahead.of .. ':' .. organization)
  if ahead and ahead >= stage.ahead.most then return 0 end
  return limit > stage.beside and has_guest(organization) and stage.beside or limit
end

-- Say when an organization is served next: after those with fewer dispatched, and those that were served before it.
local function line_up(stage, organization, limit)
  local backlogs, dispatched = key('backlogs', stage), active(stage, organization)
  if call('EXISTS', backlog_of(stage, organization)) == 0 then
    call('ZREM', backlogs, organization)
  else
    local score = dispatched < within(stage, organization, limit) and string.format('%.0f', dispatched * 2 ^ 36 + turn() % 2 ^ 36) or HALTED
    call('ZADD', backlogs, score, organization)
  end
end

local function take(stage, organization, limit)
  local oldest = call('ZPOPMIN', backlog_of(stage, organization))[1]
  if oldest then send(stage, organization, oldest) end
  line_up(stage, organization, limit)
end

-- An organization that has nothing dispatched never waits for others to end.
local function offer(stage, organization, limit)
  while within(stage, organization, limit) > 0 and active(stage, organization) == 0
    and call('EXISTS', backlog_of(stage, organization)) == 1 do
    take(stage, organization, limit)
  end
  line_up(stage, organization, limit)
end

local function serve(stage)
  while call('ZCARD', key('dispatched', stage)) < stage.capacity do
    local first = call('ZRANGE', key('backlogs', stage), 0, 0, 'WITHSCORES')
    if #first == 0 or first[2] == HALTED then return end
    take(stage, first[1], stage.limit)
  end
end

local function enqueue(stage, work, limit)
  local organizations = {}
  for _, one in ipairs(work) do
    local organization, document, accepted = one[1], one[2], one[3]
    if not call('ZSCORE', key('dispatched', stage), organization .. '|' .. document) then
      call('ZADD', backlog_of(stage, organization), 'NX', accepted, document)
    end
    organizations[organization] = true
  end
  for organization in pairs(organizations) do offer(stage, organization, limit) end
  serve(stage)
end

local commands, stage = {}, request.stage

function commands.enqueue() enqueue(stage, request.work, request.limit) end

function commands.finish()
  release(stage, request.organization, request.document)
  call('ZREM', backlog_of(stage, request.organization), request.document)
  if request.next then
    enqueue(request.next, {{request.organization, request.document, request.accepted}}, request.next.limit)
  end
  offer(stage, request.organization, stage.limit)
  serve(stage)
  -- Fetches may have halted because renders waited. One is enough: it lines its organization up when it ends.
  if request.previous then offer(request.previous, request.organization, 1) end
end

-- Back into the backlog, and nothing more of that organization for now.
function commands.requeue()
  release(stage, request.organization, request.document)
  call('ZADD', backlog_of(stage, request.organization), 'NX', request.accepted, request.document)
  call('ZADD', key('backlogs', stage), HALTED, request.organization)
  serve(stage)
end

-- The places in use are counted anew, in case somebody else has changed a key.
function commands.resume()
  call('DEL', key('active', stage))
  for _, entry in ipairs(call('ZRANGE', key('dispatched', stage), 0, -1)) do
    count(stage, string.match(entry, '^[^|]*'), 1)
  end
  for organization, limit in pairs(request.limits) do
    offer(stage, organization, limit)
  end
  serve(stage)
end

function commands.redeliver() send(stage, request.organization, request.document) end

local message = request.acknowledge
if message and call('SREM', message.acks, message.id) == 1 then call('HDEL', message.queue .. '.msgs', message.id) end
commands[request.command]()
for name, amount in pairs(request.counters or {}) do redis.pcall('HINCRBYFLOAT', 'imports:tallies', name, amount) end
-- Take the next message along, as dramatiq's own fetch does.
local next = message and message.take and call('LPOP', message.queue)
if next then
  call('SADD', message.acks, next)
  return call('HGET', message.queue .. '.msgs', next)
end
