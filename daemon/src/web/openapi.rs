//! The OpenAPI 3.1 document, written from the table of routes and from `schemas.json`.
//!
//! In `schemas.json` a property that may be absent has a `default`; `null` there only says that,
//! and is left away. All others are required. Tests hold the schemas to what is really sent.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use warp::http::StatusCode;
use warp::reply::Response;

use super::ask::{Asked, typed};
use super::error::Failure;
use super::routes::{ROUTES, Route, Takes};

static DOCUMENT: LazyLock<Vec<u8>> =
    LazyLock::new(|| serde_json::to_vec(&written()).expect("the document has only string keys"));

pub(super) async fn document(_ask: Asked) -> Result<Response, Failure> {
    Ok(typed(StatusCode::OK, "application/json", DOCUMENT.clone()))
}

fn written() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Headstock",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A workshop's machines, files and jobs. The same routes are served \
                over TCP, where a bearer token says who asks, and on the box's Unix socket, where \
                the user at the far end does.",
        },
        "paths": paths(),
        "components": {
            "schemas": schemas(),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "responses": {
                "Refused": {
                    "description": "400 wrong words, 401 who are you, 403 not you, 404 no such, \
                        405 not to this method, 408 too slow, 409 not now, 413 too big, 415 not \
                        this type, 426 not without a WebSocket, 503 try later",
                    "content": content("application/json", reference("ErrorBody")),
                },
            },
        },
    })
}

fn schemas() -> Map<String, Value> {
    let text = include_str!("schemas.json");
    let mut schemas: Map<String, Value> =
        serde_json::from_str(text).expect("the schemas are part of the program");
    for schema in schemas.values_mut().filter_map(Value::as_object_mut) {
        let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
            continue;
        };
        let always = |it: &(&String, &Value)| it.1.get("default").is_none();
        let required: Vec<Value> =
            properties.iter().filter(always).map(|(name, _)| json!(name)).collect();
        for property in properties.values_mut().filter_map(Value::as_object_mut) {
            if property.get("default").is_some_and(Value::is_null) {
                property.remove("default");
            }
        }
        schema.insert("type".into(), json!("object"));
        schema.insert("required".into(), Value::Array(required));
    }
    schemas
}

fn paths() -> Map<String, Value> {
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_lowercase()] = operation(route);
    }
    paths
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "summary": route.summary,
        "operationId": operation_id(route),
        "parameters": parameters(route),
        "security": if route.least.is_some() { json!([{ "token": [] }]) } else { json!([]) },
        "responses": {
            route.gives.0.to_string(): success(route.gives.1),
            "default": { "$ref": "#/components/responses/Refused" },
        },
    });
    if let Some(role) = route.least {
        operation["x-least-role"] = json!(role);
    }
    let taken = match route.takes {
        Takes::Nothing => return operation,
        Takes::Json(schema) => content("application/json", reference(schema)),
        Takes::Bytes => content("application/octet-stream", json!({})),
    };
    operation["requestBody"] = json!({ "required": true, "content": taken });
    operation
}

/// `get_jobs_id_start` of `GET /api/v1/jobs/{id}/start`.
fn operation_id(route: &Route) -> String {
    let path = route.path.trim_start_matches("/api/v1").replace(['/', '.'], "_");
    format!("{}{}", route.method.to_lowercase(), path.replace(['{', '}'], ""))
}

fn parameters(route: &Route) -> Vec<Value> {
    let segments = route.path.split('/');
    let names = segments.filter_map(|it| it.strip_prefix('{')?.strip_suffix('}'));
    let in_path = names.map(|name| {
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
    });
    let in_query = route.query.iter().map(|(name, what)| {
        json!({
            "name": name,
            "in": "query",
            "required": what.ends_with("required"),
            "description": what,
            "schema": { "type": if is_number(name) { "integer" } else { "string" } },
        })
    });
    in_path.chain(in_query).collect()
}

fn is_number(parameter: &str) -> bool {
    matches!(parameter, "after" | "limit")
}

/// A body that is named by its schema, by an array of it, or by its media type.
fn success(what: &str) -> Value {
    let list = what.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let content = match list {
        Some(schema) => {
            content("application/json", json!({ "type": "array", "items": reference(schema) }))
        }
        None if what.is_empty() => return json!({ "description": "Done" }),
        None if what.contains('/') => content(what, json!({})),
        None => content("application/json", reference(what)),
    };
    json!({ "description": "Done", "content": content })
}

fn content(media_type: &str, schema: Value) -> Value {
    json!({ media_type: { "schema": schema } })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Panics where a value is not what a schema of ours says. Knows the words used there.
    pub(in super::super) fn check(schema: &str, value: &Value) {
        static SCHEMAS: LazyLock<Map<String, Value>> = LazyLock::new(schemas);
        let found = fits(&SCHEMAS, &reference(schema), value);
        assert!(found.is_ok(), "{schema}: {} in {value:#}", found.unwrap_err());
    }

    fn fits(all: &Map<String, Value>, schema: &Value, value: &Value) -> Result<(), String> {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let name = name.rsplit('/').next().unwrap();
            let schema = all.get(name).ok_or_else(|| format!("no schema {name}"))?;
            return fits(all, schema, value).map_err(|at| format!("{name}.{at}"));
        }
        if let Some(either) = schema.get("anyOf").and_then(Value::as_array) {
            let tried: Vec<_> = either.iter().map(|it| fits(all, it, value)).collect();
            return if tried.iter().any(Result::is_ok) { Ok(()) } else { tried[0].clone() };
        }
        if let Some(known) = schema.get("enum").and_then(Value::as_array)
            && !known.contains(value)
        {
            return Err(format!("{value} is not one of {known:?}"));
        }
        if let Some(types) = schema.get("type") {
            let listed = types.as_array().cloned().unwrap_or_else(|| vec![types.clone()]);
            if !listed.iter().any(|it| is_of_type(it.as_str().unwrap(), value)) {
                return Err(format!("{value} is not {types}"));
            }
        }
        for item in value.as_array().into_iter().flatten() {
            schema.get("items").map_or(Ok(()), |it| fits(all, it, item))?;
        }
        match (schema.get("properties"), value.as_object()) {
            (Some(properties), Some(value)) => fits_object(all, schema, properties, value),
            _ => Ok(()),
        }
    }

    fn fits_object(
        all: &Map<String, Value>,
        schema: &Value,
        properties: &Value,
        value: &Map<String, Value>,
    ) -> Result<(), String> {
        for required in schema["required"].as_array().unwrap() {
            let name = required.as_str().unwrap();
            value.get(name).ok_or_else(|| format!("{name} is missing"))?;
        }
        for (name, value) in value {
            match properties.get(name) {
                Some(schema) => fits(all, schema, value).map_err(|at| format!("{name}: {at}"))?,
                None if schema.get("additionalProperties").is_some() => (),
                None => return Err(format!("{name} is not documented")),
            }
        }
        Ok(())
    }

    fn is_of_type(name: &str, value: &Value) -> bool {
        match name {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_u64() || value.is_i64(),
            "number" => value.is_number(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            other => panic!("no such type: {other}"),
        }
    }

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|it| references(it, found));
            }
            Value::Array(list) => list.iter().for_each(|it| references(it, found)),
            _ => (),
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_used() {
        let document = written();
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in &found {
            let place = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(place).is_some(), "{reference}");
        }
        for name in document["components"]["schemas"].as_object().unwrap().keys() {
            let wanted = format!("#/components/schemas/{name}");
            assert!(found.contains(&wanted), "{name}");
        }
    }

    #[test]
    fn every_route_is_in_the_document_with_an_id_of_its_own() {
        let document = written();
        let mut ids = std::collections::BTreeSet::new();
        for route in ROUTES {
            let operation = &document["paths"][route.path][route.method.to_lowercase()];
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{route:?}");
            assert_eq!(operation["security"] == json!([]), route.least.is_none(), "{route:?}");
        }
    }
}
