//! Reading and writing at paths, against a model: a value of `serde_json` and the rules of the manual.
#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use cloakroom::{ErrorKind, Limits, MemoryStore, Session, SessionManager, TokenChange};
use cloakroom_fuzz::block_on;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

#[derive(Arbitrary, Debug)]
enum Step {
    Get(Place),
    Contains(Place),
    Insert(Place, Json),
    Remove(Place),
    Take(Place),
    Clear,
    /// The request ends, and another begins.
    Commit,
}

#[derive(Arbitrary, Debug)]
enum Place {
    Dotted(Name, Vec<Name>),
    Listed(Vec<Name>),
}

/// Names of which some are alike, so that steps meet.
#[derive(Arbitrary, Debug)]
enum Name {
    A,
    B,
    DottedAB,
    Any(String),
}

impl Name {
    fn text(&self) -> &str {
        match self {
            Self::A => "a",
            Self::B => "b",
            Self::DottedAB => "a.b",
            Self::Any(text) => text,
        }
    }
}

impl Place {
    fn dotted(first: &Name, rest: &[Name]) -> String {
        let names: Vec<_> = std::iter::once(first).chain(rest).map(Name::text).collect();
        names.join(".")
    }

    fn segments(&self) -> Vec<String> {
        match self {
            Self::Dotted(first, rest) => Self::dotted(first, rest).split('.').map(str::to_owned).collect(),
            Self::Listed(names) => names.iter().map(|name| name.text().to_owned()).collect(),
        }
    }
}

/// A value that is not nested too deep, without the numbers that a text need not bring back.
#[derive(Debug)]
struct Json(Value);

impl<'a> Arbitrary<'a> for Json {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        value(u, 3).map(Self)
    }
}

fn value(u: &mut Unstructured<'_>, depth: usize) -> Result<Value> {
    Ok(match u.int_in_range(0..=if depth == 0 { 5 } else { 7 })? {
        0 => Value::Null,
        1 => Value::Bool(u.arbitrary()?),
        2 => Value::from(u.arbitrary::<i64>()?),
        3 => Value::from(u.arbitrary::<u64>()?),
        4 => Value::from(f64::from(u.arbitrary::<i16>()?) / 4.0),
        5 => Value::from(u.arbitrary::<String>()?),
        6 => (0..u.int_in_range(0..=3)?).map(|_| value(u, depth - 1)).collect::<Result<_>>()?,
        _ => {
            let mut object = Map::new();
            for _ in 0..u.int_in_range(0..=3)? {
                object.insert(u.arbitrary::<Name>()?.text().to_owned(), value(u, depth - 1)?);
            }
            Value::Object(object)
        }
    })
}

type Outcome<T> = std::result::Result<T, ErrorKind>;

/// The data as they should be.
#[derive(Clone, Debug, Default)]
struct Model(Map<String, Value>);

impl Model {
    fn check(segments: &[String]) -> Outcome<()> {
        let is_valid = !segments.is_empty() && segments.iter().all(|segment| !segment.is_empty());
        is_valid.then_some(()).ok_or(ErrorKind::InvalidPath)
    }

    /// Of a path that is wrong in two ways the first mistake counts.
    fn get(&self, segments: &[String]) -> Outcome<Option<&Value>> {
        let mut object = Some(&self.0);
        for (at, segment) in segments.iter().enumerate() {
            Self::check(&segments[at..=at])?;
            let members = object.ok_or(ErrorKind::NotAnObject)?;
            match members.get(segment) {
                Some(value) if at + 1 == segments.len() => return Ok(Some(value)),
                Some(value) => object = value.as_object(),
                None => return Self::check(&segments[at..]).map(|()| None),
            }
        }
        Err(ErrorKind::InvalidPath)
    }

    fn insert(&mut self, segments: &[String], value: Value) -> Outcome<()> {
        Self::check(segments)?;
        self.get(segments)?;
        let (last, way) = segments.split_last().expect("it was checked");
        let mut object = &mut self.0;
        for segment in way {
            let inner = object.entry(segment).or_insert_with(|| Value::Object(Map::new()));
            object = inner.as_object_mut().expect("it was looked at");
        }
        object.insert(last.clone(), value);
        Ok(())
    }

    fn remove(&mut self, segments: &[String]) -> Outcome<Option<Value>> {
        if self.get(segments)?.is_none() {
            return Ok(None);
        }
        let (last, way) = segments.split_last().expect("it was checked");
        let mut object = &mut self.0;
        for segment in way {
            object = object[segment].as_object_mut().expect("it was looked at");
        }
        Ok(object.remove(last))
    }
}

/// Calls a function of the session with the place as an application would write it.
macro_rules! at {
    ($place:expr, |$path:ident| $call:expr) => {
        match $place {
            Place::Dotted(first, rest) => {
                let text = Place::dotted(first, rest);
                let $path = &*text;
                $call
            }
            Place::Listed(names) => {
                let names: Vec<_> = names.iter().map(Name::text).collect();
                let $path = &*names;
                $call
            }
        }
        .map_err(|error| error.kind())
    };
}

fn step(step: &Step, session: &Session, model: &mut Model) {
    match step {
        Step::Get(place) => {
            let found = at!(place, |path| session.get::<Value>(path));
            assert_eq!(found, model.get(&place.segments()).map(Option::<&Value>::cloned));
        }
        Step::Contains(place) => {
            let found = at!(place, |path| session.contains(path));
            assert_eq!(found, model.get(&place.segments()).map(|value| value.is_some()));
        }
        Step::Insert(place, Json(value)) => {
            let done = at!(place, |path| session.insert(path, value));
            if done != Err(ErrorKind::TooDeep) {
                assert_eq!(done, model.insert(&place.segments(), value.clone()));
            }
        }
        Step::Remove(place) => {
            let removed = at!(place, |path| session.remove(path));
            assert_eq!(removed, model.remove(&place.segments()).map(|value| value.is_some()));
        }
        Step::Take(place) => {
            let taken = at!(place, |path| session.take::<Value>(path));
            assert_eq!(taken, model.remove(&place.segments()));
        }
        Step::Clear => {
            session.clear().unwrap();
            model.0.clear();
        }
        Step::Commit => unreachable!("done by the caller"),
    }
}

fuzz_target!(|steps: Vec<Step>| block_on(async {
    let limits = Limits::default().data_bytes(1 << 30);
    let manager = SessionManager::new(MemoryStore::new()).limits(limits).unwrap();
    let (mut session, mut model, mut token) = (manager.create(), Model::default(), String::new());
    for next in &steps {
        if let Step::Commit = next {
            match manager.commit(&session).await.unwrap() {
                TokenChange::Issue(issued) => token = issued.token.expose().to_string(),
                TokenChange::Refresh(_) | TokenChange::Remove | TokenChange::Keep => {}
            }
            session = manager.open(token.as_bytes()).await.unwrap();
        } else {
            step(next, &session, &mut model);
        }
        let all: Map<_, _> = session.all().unwrap().into_iter().collect();
        assert_eq!(all, model.0);
    }
}));
