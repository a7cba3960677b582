//! What the server runs: each script reads and writes one key, as a whole.

use std::sync::OnceLock;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, RedisError, RedisResult, Script, ServerErrorKind, Value};

/// A script, and how to name it without sending it.
pub(super) struct Lua {
    code: &'static str,
    sha1: OnceLock<String>,
}

/// Lua counts in doubles, which hold no more than 53 bits: versions and times are compared as decimal text.
///
/// Only the line and the names behind it are read, no more than 169 bytes: the data would be copied on their way into Lua.
/// A value that cannot be read has no version.
macro_rules! lua_with_head {
    ($body:literal) => {
        Lua::new(concat!(
            r"
local function before(a, b)
  local a_minus, b_minus = a:byte(1) == 45, b:byte(1) == 45
  if a_minus ~= b_minus then return a_minus end
  if #a ~= #b then return (#a < #b) ~= a_minus end
  return a ~= b and (a < b) ~= a_minus
end
local head = redis.call('GETRANGE', KEYS[1], 0, 168)
local _, line, version, expires, indexed, length, user =
  string.find(head, '^(%d+) (%-?%d+) (%-?%d*) (%d+) ([%d%-]+)\n')
local behind = version and line + length
local names = version and string.sub(head, line + 1, behind)
local stored = head ~= '' or redis.call('GET', KEYS[1])
",
            $body
        ))
    };
}

/// `now`, the value, name of the write, time to live.
pub(super) static CREATE: Lua = lua_with_head!(
    r"
if version then
  if string.find(names, ARGV[3], 1, true) then return 'done' end
  if before(ARGV[1], expires) then return 'exists' end
elseif stored then
  return 'exists'
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[4])
return 'done'
"
);

/// `now`, expected version, new version, expiry, length of the user or a hyphen, user and data, name of the write, time to
/// live, horizon or nothing.
pub(super) static SAVE: Lua = lua_with_head!(
    r"
if not stored then return 'gone' end
if not version then return 'conflict' end
if string.find(names, ARGV[7], 1, true) then return 'done' end
if not before(ARGV[1], expires) then return 'gone' end
if version ~= ARGV[2] then return 'conflict' end
if ARGV[5] == '-' then
  indexed = ''
elseif ARGV[9] ~= '' then
  indexed = ARGV[9]
else
  local wanted = string.sub(ARGV[6], 1, ARGV[5])
  local is_indexed = user == ARGV[5] and not before(indexed, ARGV[4])
    and redis.call('GETRANGE', KEYS[1], behind, behind + user - 1) == wanted
  if not is_indexed then return {'index', wanted} end
end
names = string.sub(names, 1, 56)
local value = ARGV[3] .. ' ' .. ARGV[4] .. ' ' .. indexed .. ' ' .. #names + 8 .. ' ' .. ARGV[5] .. '\n'
  .. ARGV[7] .. names .. ARGV[6]
redis.call('SET', KEYS[1], value, 'PX', ARGV[8])
return 'done'
"
);

/// `now`, expected version, expiry, time to live, horizon or nothing.
pub(super) static TOUCH: Lua = lua_with_head!(
    r"
if not stored then return 'gone' end
if not version then return 'conflict' end
if not before(ARGV[1], expires) then return 'gone' end
if version ~= ARGV[2] then return 'conflict' end
if user ~= '-' then
  if ARGV[5] ~= '' then
    indexed = ARGV[5]
  elseif before(indexed, ARGV[3]) then
    return {'index', redis.call('GETRANGE', KEYS[1], behind, behind + user - 1)}
  end
end
local changed = version .. ' ' .. ARGV[3] .. ' ' .. indexed .. ' ' .. length .. ' ' .. user .. '\n'
if #changed == line then
  redis.call('SETRANGE', KEYS[1], 0, changed)
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
else
  redis.call('SET', KEYS[1], changed .. redis.call('GETRANGE', KEYS[1], line, -1), 'PX', ARGV[4])
end
return 'done'
"
);

/// Id, horizon, and before when entries are over. A score never falls: another call may rely on it.
///
/// Scores are doubles, so that those beyond the year 287,396 are rounded, by less than the slack of a minute.
pub(super) static INDEX: Lua = Lua::new(
    r"
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[3])
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) < tonumber(ARGV[2]) then redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1]) end
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.min(tonumber(last) - tonumber(ARGV[3]), 2 ^ 52)))
return 'done'
",
);

impl Lua {
    const fn new(code: &'static str) -> Self {
        Self { code, sha1: OnceLock::new() }
    }

    /// Runs it by its name, and sends it if the server does not know it: after a restart, a failover, or `SCRIPT FLUSH`.
    ///
    /// Not [`redis::ScriptInvocation`], which loads a script to all masters of a cluster and fails if one of them is down.
    pub(super) async fn run(
        &self,
        connection: &mut impl ConnectionLike,
        key: &str,
        arguments: &[&[u8]],
    ) -> RedisResult<Value> {
        let sha1 = self.sha1.get_or_init(|| Script::new(self.code).get_hash().to_owned());
        let call = |name: &str, script: &str| {
            let length = arguments.iter().map(|argument| argument.len()).sum::<usize>();
            let mut call = Cmd::with_capacity(arguments.len() + 4, length + script.len() + key.len() + 8);
            call.arg(name).arg(script).arg(1).arg(key).arg(arguments);
            call
        };
        match call("EVALSHA", sha1).query_async(connection).await {
            Err(error) if is_unknown_script(&error) => call("EVAL", self.code).query_async(connection).await,
            answer => answer,
        }
    }
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}
