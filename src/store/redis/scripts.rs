//! What the server runs: each script reads and writes one key, as a whole.

use std::sync::OnceLock;

use redis::aio::ConnectionLike;
use redis::{ErrorKind, RedisError, RedisResult, Script, ServerErrorKind, cmd};

/// A script, and how to name it without sending it.
pub(super) struct Lua {
    code: &'static str,
    sha1: OnceLock<String>,
}

/// Lua counts in doubles, which hold no more than 53 bits: versions and times are compared as decimal text.
///
/// A value that cannot be read has no version.
macro_rules! lua_with_values {
    ($body:literal) => {
        Lua::new(concat!(
            r"
local function before(a, b)
  local a_minus, b_minus = a:byte(1) == 45, b:byte(1) == 45
  if a_minus ~= b_minus then return a_minus end
  if #a ~= #b then return (#a < #b) ~= a_minus end
  return a ~= b and (a < b) ~= a_minus
end
local function parts(value)
  local _, line, version, expires, indexed, names, user =
    string.find(value, '^(%d+) (%-?%d+) (%-?%d*) (%d+) ([%d%-]+)\n')
  if not version then return end
  local behind = line + names
  return version, expires, indexed, string.sub(value, line + 1, behind), user, string.sub(value, behind + 1)
end
local function keep(version, expires, indexed, names, user, body, ttl)
  local line = version .. ' ' .. expires .. ' ' .. indexed .. ' ' .. #names .. ' ' .. user .. '\n'
  redis.call('SET', KEYS[1], line .. names .. body, 'PX', ttl)
  return {'done'}
end
local stored = redis.call('GET', KEYS[1])
",
            $body
        ))
    };
}

/// `now`, the value, name of the write, time to live.
pub(super) static CREATE: Lua = lua_with_values!(
    r"
if stored then
  local version, expires, _, names = parts(stored)
  if not version then return {'exists'} end
  if string.find(names, ARGV[3], 1, true) then return {'done'} end
  if before(ARGV[1], expires) then return {'exists'} end
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[4])
return {'done'}
"
);

/// `now`, expected version, new version, expiry, length of the user or a hyphen, user and data, name of the write, time to
/// live, horizon or nothing.
pub(super) static SAVE: Lua = lua_with_values!(
    r"
if not stored then return {'gone'} end
local version, expires, indexed, names, user, body = parts(stored)
if not version then return {'conflict'} end
if string.find(names, ARGV[7], 1, true) then return {'done'} end
if not before(ARGV[1], expires) then return {'gone'} end
if version ~= ARGV[2] then return {'conflict'} end
if ARGV[5] == '-' then
  indexed = ''
elseif ARGV[9] ~= '' then
  indexed = ARGV[9]
else
  local wanted = string.sub(ARGV[6], 1, ARGV[5])
  local is_indexed = user == ARGV[5] and string.sub(body, 1, user) == wanted and not before(indexed, ARGV[4])
  if not is_indexed then return {'index', wanted} end
end
return keep(ARGV[3], ARGV[4], indexed, string.sub(ARGV[7] .. names, 1, 64), ARGV[5], ARGV[6], ARGV[8])
"
);

/// `now`, expected version, expiry, time to live, horizon or nothing.
pub(super) static TOUCH: Lua = lua_with_values!(
    r"
if not stored then return {'gone'} end
local version, expires, indexed, names, user, body = parts(stored)
if not version then return {'conflict'} end
if not before(ARGV[1], expires) then return {'gone'} end
if version ~= ARGV[2] then return {'conflict'} end
if user ~= '-' then
  if ARGV[5] ~= '' then
    indexed = ARGV[5]
  elseif before(indexed, ARGV[3]) then
    return {'index', string.sub(body, 1, user)}
  end
end
return keep(version, ARGV[3], indexed, names, user, body, ARGV[4])
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
return {'done'}
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
    ) -> RedisResult<Vec<Vec<u8>>> {
        let sha1 = self.sha1.get_or_init(|| Script::new(self.code).get_hash().to_owned());
        let by_name = cmd("EVALSHA").arg(sha1).arg(1).arg(key).arg(arguments).query_async(connection).await;
        match by_name {
            Err(error) if is_unknown_script(&error) => {
                cmd("EVAL").arg(self.code).arg(1).arg(key).arg(arguments).query_async(connection).await
            }
            answer => answer,
        }
    }
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}
