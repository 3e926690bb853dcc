//! Everything that is served: the table by which requests are dispatched and documented.
//!
//! Whoever adds a route adds a line here and a function in the file of its resource.

use std::pin::Pin;

use headstock_config::people::Role;
use percent_encoding::percent_decode_str;
use warp::http::Method;
use warp::reply::Response;

use super::ask::Asked;
use super::error::Failure;
use super::{
    alarms, auth, discover, equipment, events, feed, files, health, jobs, metrics, openapi, points,
    stop, system,
};

/// An answer on its way.
pub(super) type Answering = Pin<Box<dyn Future<Output = Result<Response, Failure>> + Send>>;

/// One thing that is served.
pub(super) struct Route {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub(super) method: &'static str,
    /// As the client asks for it; `{name}` stands for one segment.
    pub(super) path: &'static str,
    /// The least role that may ask; `None`: no token is needed. The desk judges, not the door.
    pub(super) least: Option<Role>,
    /// For the document.
    pub(super) summary: &'static str,
    /// Query parameters: name and what it does.
    pub(super) query: &'static [(&'static str, &'static str)],
    /// The body that it takes.
    pub(super) takes: Takes,
    /// The status of success, and what comes with it: a schema, an array of one, or nothing.
    pub(super) gives: (u16, &'static str),
    /// What does it.
    pub(super) go: fn(Asked) -> Answering,
}

/// A request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// None; one that is sent is passed over.
    Nothing,
    /// JSON of this schema.
    Json(&'static str),
    /// The bytes of a file.
    Bytes,
}

impl Takes {
    /// For people.
    pub(super) fn words(self) -> String {
        match self {
            Self::Nothing => "no body".into(),
            Self::Json(schema) => format!("a `{schema}`"),
            Self::Bytes => {
                "the file's bytes as they are, as `curl --data-binary @FILE` does".into()
            }
        }
    }
}

impl std::fmt::Debug for Route {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {}", self.method, self.path)
    }
}

impl Route {
    const fn new(
        method: &'static str,
        path: &'static str,
        least: Option<Role>,
        summary: &'static str,
        go: fn(Asked) -> Answering,
    ) -> Self {
        Self {
            method,
            path,
            least,
            summary,
            query: &[],
            takes: Takes::Nothing,
            gives: (200, ""),
            go,
        }
    }

    const fn query(mut self, query: &'static [(&'static str, &'static str)]) -> Self {
        self.query = query;
        self
    }

    const fn takes(mut self, takes: Takes) -> Self {
        self.takes = takes;
        self
    }

    const fn gives(mut self, status: u16, what: &'static str) -> Self {
        self.gives = (status, what);
        self
    }
}

const OPEN: Option<Role> = None;
const LOOK: Option<Role> = Some(Role::Viewer);
const RUN: Option<Role> = Some(Role::Operator);
const MEND: Option<Role> = Some(Role::Maintainer);
const RULE: Option<Role> = Some(Role::Admin);

/// A route: method, path, who may, what it does, the function that does it.
macro_rules! route {
    ($method:ident $path:literal, $least:expr, $summary:literal, $go:path) => {
        Route::new(stringify!($method), $path, $least, $summary, |ask| Box::pin($go(ask)))
    };
}

/// Everything that is served. Stops come first, so that nothing is looked at before them.
pub(super) const ROUTES: &[Route] = &[
    route!(POST "/api/v1/equipment/{id}/commands", RUN, "Tell a machine something", equipment::command)
        .takes(Takes::Json("Command"))
        .gives(202, "Told"),
    route!(POST "/api/v1/stop", RUN, "Stop one machine or all, and say what was confirmed", stop::stop)
        .takes(Takes::Json("StopScope"))
        .gives(200, "[StopReport]"),
    route!(GET "/health", OPEN, "Whether the house does its work; 503 when it does not", health::health)
        .gives(200, "Health"),
    route!(GET "/metrics", OPEN, "Figures in the text format of Prometheus", metrics::metrics)
        .gives(200, "text/plain"),
    route!(GET "/api/v1/openapi.json", OPEN, "This document", openapi::document)
        .gives(200, "Anything"),
    route!(GET "/api/v1/equipment", LOOK, "All machines", equipment::all)
        .gives(200, "[Equipment]"),
    route!(GET "/api/v1/equipment/{id}", LOOK, "One machine", equipment::one)
        .gives(200, "Equipment"),
    route!(GET "/api/v1/equipment/{id}/settings", LOOK, "The settings that a controller has told", equipment::settings)
        .gives(200, "[Setting]"),
    route!(GET "/api/v1/points", LOOK, "The latest of every point, by name", points::some)
        .query(&[
            ("machine", "Only points of this machine; `house` for those of the box"),
            ("prefix", "Only points whose name begins so"),
        ])
        .gives(200, "[Point]"),
    route!(GET "/api/v1/points/{name}", LOOK, "One point; with a time range its history", points::one)
        .query(&[
            ("from", "Beginning: milliseconds since 1970, RFC 3339, or `-1h`; `-1h` unless told"),
            ("to", "End, as `from`; now unless told"),
            ("every", "Length of a span: `250ms`, `10s`, `1m`; a 300th of the range unless told"),
        ])
        .gives(200, "PointOrHistory"),
    route!(PUT "/api/v1/points/{name}", RUN, "Set a point that may be set; answers with what is read back", points::set)
        .takes(Takes::Json("SetPoint"))
        .gives(200, "Point"),
    route!(GET "/api/v1/equipment/{id}/frames", LOOK, "What went over the machine's bus lately", equipment::frames)
        .gives(200, "Frames"),
    route!(GET "/api/v1/buses", LOOK, "All buses: how busy they are, and how their devices answer", equipment::buses)
        .gives(200, "[Bus]"),
    route!(GET "/api/v1/files", LOOK, "All program files, newest first", files::all)
        .gives(200, "[File]"),
    route!(POST "/api/v1/files", RUN, "Bring a program file; it is analysed and kept by content", files::bring)
        .query(&[("name", "What the file is called; required")])
        .takes(Takes::Bytes)
        .gives(201, "File"),
    route!(GET "/api/v1/files/{id}", LOOK, "One program file", files::one)
        .gives(200, "File"),
    route!(DELETE "/api/v1/files/{id}", RUN, "Remove a program file that no unfinished job needs", files::remove)
        .gives(204, ""),
    route!(GET "/api/v1/files/{id}/content", LOOK, "The bytes of a program file", files::content)
        .gives(200, "application/octet-stream"),
    route!(GET "/api/v1/files/{id}/preflight", LOOK, "What stands against running it now", files::preflight)
        .query(&[("machine", "The machine's id; required")])
        .gives(200, "[Finding]"),
    route!(GET "/api/v1/jobs", LOOK, "Jobs, newest first", jobs::some)
        .query(&[
            ("machine", "Only jobs of this machine"),
            ("state", "Only jobs in this state"),
            ("limit", "At most so many; 100 unless told, 1000 at most"),
            ("before", "Only jobs older than the one with this id"),
        ])
        .gives(200, "[JobView]"),
    route!(POST "/api/v1/jobs", RUN, "Check a file against a machine, then run it there or queue it", jobs::start)
        .takes(Takes::Json("StartJob"))
        .gives(201, "JobView"),
    route!(GET "/api/v1/jobs/{id}", LOOK, "One job", jobs::one)
        .gives(200, "JobView"),
    route!(POST "/api/v1/jobs/{id}/start", RUN, "Start a job that waits in the queue", jobs::go)
        .gives(200, "JobView"),
    route!(POST "/api/v1/jobs/{id}/hold", RUN, "Slow down and rest; the job can go on", jobs::hold)
        .gives(202, "JobView"),
    route!(POST "/api/v1/jobs/{id}/resume", RUN, "Go on after a hold or a question", jobs::resume)
        .gives(202, "JobView"),
    route!(POST "/api/v1/jobs/{id}/cancel", RUN, "Give a job up: rest, then reset; position is kept", jobs::cancel)
        .gives(202, "JobView"),
    route!(POST "/api/v1/jobs/{id}/decision", RUN, "Decide an interrupted job; a release needs a maintainer", jobs::decide)
        .takes(Takes::Json("Decide"))
        .gives(200, "Decided"),
    route!(POST "/api/v1/jobs/{id}/notes", RUN, "Write a remark into a job's history", jobs::note)
        .takes(Takes::Json("Note"))
        .gives(201, "JobView"),
    route!(GET "/api/v1/alarms", LOOK, "Alarms that are not normal, the most urgent first", alarms::some)
        .query(&[
            ("all", "true: those that are normal as well"),
            ("state", "Only alarms in this state"),
            ("priority", "Only alarms of this priority"),
            ("about", "Only alarms about this machine, or `house`"),
        ])
        .gives(200, "[AlarmView]"),
    route!(GET "/api/v1/alarms/{id}", LOOK, "One alarm", alarms::one)
        .gives(200, "AlarmView"),
    route!(POST "/api/v1/alarms/{id}/ack", RUN, "Acknowledge an alarm: somebody knows", alarms::acknowledge)
        .gives(200, "AlarmView"),
    route!(POST "/api/v1/alarms/{id}/shelve", RUN, "Put an alarm aside for a time; it comes back by itself", alarms::shelve)
        .takes(Takes::Json("ShelveAlarm"))
        .gives(200, "AlarmView"),
    route!(POST "/api/v1/alarms/{id}/unshelve", RUN, "Take an alarm back from the shelf", alarms::unshelve)
        .gives(200, "AlarmView"),
    route!(POST "/api/v1/alarms/{id}/reset", RUN, "Reset an alarm that latches, after it is over and acknowledged", alarms::reset)
        .gives(200, "AlarmView"),
    route!(POST "/api/v1/alarms/{id}/service", MEND, "Take an alarm out of use, or put it back", alarms::service)
        .takes(Takes::Json("AlarmService"))
        .gives(200, "AlarmView"),
    route!(GET "/api/v1/rules", LOOK, "How each rule stands, and why", alarms::rules)
        .gives(200, "[RuleView]"),
    route!(POST "/api/v1/clear", RUN, "Say that machines are clear, after the hardware stop chain was open", alarms::clear)
        .takes(Takes::Json("ClearScope"))
        .gives(200, "Cleared"),
    route!(GET "/api/v1/events", LOOK, "Entries of the book, oldest first", events::events)
        .query(&[
            ("after", "Only entries with a higher number; 0 unless told"),
            ("limit", "At most so many; 1000 unless told, 1000 at most"),
        ])
        .gives(200, "[Entry]"),
    route!(GET "/api/v1/feed", LOOK, "A WebSocket: a snapshot, then entries and live values as they come", feed::open)
        .query(&[
            ("after", "Instead of the snapshot: all entries with a higher number"),
            ("points", "Also points whose name begins with one of these, by commas; empty: all"),
        ])
        .gives(101, "FeedMessage"),
    route!(GET "/api/v1/discover", LOOK, "What was found by the latest look around, also while it goes on", discover::latest)
        .gives(200, "Discovery"),
    route!(POST "/api/v1/discover", RUN, "Look what is plugged in, without moving anything; opening a port resets many boards", discover::begin)
        .takes(Takes::Json("LookFor"))
        .gives(202, "Discovery"),
    route!(GET "/api/v1/system", LOOK, "The daemon itself", system::system)
        .gives(200, "System"),
    route!(GET "/api/v1/auth/me", LOOK, "Who asks, as the house sees it", auth::me)
        .gives(200, "Person"),
    route!(GET "/api/v1/auth/tokens", RULE, "All tokens, without their secrets", auth::tokens)
        .gives(200, "[Token]"),
    route!(POST "/api/v1/auth/tokens", RULE, "Make a token; its secret is shown this once", auth::make)
        .takes(Takes::Json("MakeToken"))
        .gives(201, "TokenMade"),
    route!(DELETE "/api/v1/auth/tokens/{name}", RULE, "Take a token back", auth::revoke)
        .gives(204, ""),
];

/// The route of a request, and what stands in the place of its `{name}`s. `HEAD` is answered as
/// `GET` is; the connection leaves the body away.
pub(super) fn find(method: &Method, path: &str) -> Result<(&'static Route, Vec<String>), Failure> {
    let asked = if method == Method::HEAD { "GET" } else { method.as_str() };
    let mut allowed = Vec::new();
    for route in ROUTES {
        let Some(names) = fits(route.path, path) else { continue };
        if route.method == asked {
            return Ok((route, names));
        }
        allowed.push(route.method);
    }
    if allowed.is_empty() {
        return Err(Failure::NoSuchPath(path.to_owned()));
    }
    let (method, path, allowed) = (method.clone(), path.to_owned(), allowed.join(", "));
    Err(Failure::WrongMethod { method, path, allowed })
}

/// What stands in the place of each `{name}`, if the path is of this shape. A slash that is
/// written `%2F` belongs to its segment.
fn fits(shape: &str, path: &str) -> Option<Vec<String>> {
    let (mut shape, mut path) = (shape.split('/'), path.split('/'));
    let mut names = Vec::new();
    loop {
        match (shape.next(), path.next()) {
            (None, None) => return Some(names),
            (Some(wanted), Some(segment)) if wanted.starts_with('{') => {
                let name = percent_decode_str(segment).decode_utf8().ok()?;
                if name.is_empty() {
                    return None;
                }
                names.push(name.into_owned());
            }
            (Some(wanted), Some(segment)) if wanted == segment => (),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: Method, path: &str) -> Result<(&'static str, Vec<String>), Failure> {
        find(&method, path).map(|(route, names)| (route.path, names))
    }

    #[test]
    fn a_path_finds_its_route_and_names() {
        let (path, names) = found(Method::GET, "/api/v1/jobs/j12").unwrap();
        assert_eq!((path, &names[..]), ("/api/v1/jobs/{id}", &["j12".to_owned()][..]));
        let (_, names) = found(Method::DELETE, "/api/v1/auth/tokens/a%2Fb%20c").unwrap();
        assert_eq!(names, ["a/b c"]);
        assert_eq!(found(Method::HEAD, "/health").unwrap().0, "/health");
    }

    #[test]
    fn what_is_not_served_is_not_found() {
        for path in [
            "/",
            "",
            "/api/v1",
            "/api/v1/jobs/",
            "/api/v1/jobs/j1/",
            "/api/v1//jobs",
            "/api/v1/jobs/j1/fly",
            "/health/x",
            "/api/v1/jobs/%FF",
            "/api/v2/jobs",
        ] {
            assert!(matches!(found(Method::GET, path), Err(Failure::NoSuchPath(_))), "{path}");
        }
    }

    #[test]
    fn another_method_is_told_which_ones_are_served() {
        let Err(Failure::WrongMethod { allowed, .. }) = found(Method::PUT, "/api/v1/files/f")
        else {
            panic!("PUT is not served there")
        };
        assert_eq!(allowed, "GET, DELETE");
    }

    #[test]
    fn no_two_routes_are_the_same() {
        for (place, route) in ROUTES.iter().enumerate() {
            let same =
                |it: &Route| it.method == route.method && fits(it.path, route.path).is_some();
            assert!(!ROUTES[..place].iter().any(same), "{route:?}");
        }
    }
}
