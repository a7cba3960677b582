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
macro_rules! lua_with_times {
    ($body:literal) => {
        Lua::new(concat!(
            r"
local function before(a, b)
  local a_minus, b_minus = a:byte(1) == 45, b:byte(1) == 45
  if a_minus ~= b_minus then return a_minus end
  if #a ~= #b then return (#a < #b) ~= a_minus end
  return a ~= b and (a < b) ~= a_minus
end
",
            $body
        ))
    };
}

/// `now`, version, expiry, data, name of the write, time to live, horizon; user, if there is one.
pub(super) static CREATE: Lua = lua_with_times!(
    r"
local expires, write = unpack(redis.call('HMGET', KEYS[1], 'expires', 'write'))
if write and string.find(write, ARGV[5], 1, true) then return {'done'} end
if expires and before(ARGV[1], expires) then return {'exists'} end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'expires', ARGV[3], 'data', ARGV[4], 'write', ARGV[5])
if ARGV[8] then redis.call('HSET', KEYS[1], 'user', ARGV[8], 'indexed', ARGV[7]) end
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return {'done'}
"
);

/// `now`, expected version, new version, expiry, data, name of the write, time to live, horizon or nothing; user, if there
/// is one.
///
/// The first command that needs memory comes before all others that write: a server that has none left changes nothing.
pub(super) static SAVE: Lua = lua_with_times!(
    r"
local version, expires, write, user, indexed =
  unpack(redis.call('HMGET', KEYS[1], 'version', 'expires', 'write', 'user', 'indexed'))
if write and string.find(write, ARGV[6], 1, true) then return {'done'} end
if not expires or not before(ARGV[1], expires) then return {'gone'} end
if version ~= ARGV[2] then return {'conflict'} end
if ARGV[9] and ARGV[8] == '' and (user ~= ARGV[9] or not indexed or before(indexed, ARGV[4])) then
  return {'index', ARGV[9]}
end
redis.call('HSET', KEYS[1], 'version', ARGV[3], 'expires', ARGV[4], 'data', ARGV[5],
  'write', string.sub(ARGV[6] .. (write or ''), 1, 64))
if not ARGV[9] then
  redis.call('HDEL', KEYS[1], 'user', 'indexed')
elseif ARGV[8] ~= '' then
  redis.call('HSET', KEYS[1], 'user', ARGV[9], 'indexed', ARGV[8])
end
redis.call('PEXPIRE', KEYS[1], ARGV[7])
return {'done'}
"
);

/// `now`, expected version, expiry, time to live, horizon or nothing.
pub(super) static TOUCH: Lua = lua_with_times!(
    r"
local version, expires, user, indexed =
  unpack(redis.call('HMGET', KEYS[1], 'version', 'expires', 'user', 'indexed'))
if not expires or not before(ARGV[1], expires) then return {'gone'} end
if version ~= ARGV[2] then return {'conflict'} end
if user and ARGV[5] == '' and (not indexed or before(indexed, ARGV[3])) then return {'index', user} end
redis.call('HSET', KEYS[1], 'expires', ARGV[3])
if user and ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'indexed', ARGV[5]) end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {'done'}
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
