//! `data/custody/custody.case.jsonld`: the custody record as a graph of the CASE/UCO ontologies, for
//! evidence systems that read it. Pure.
//!
//! | node | is |
//! |---|---|
//! | Investigation | the case |
//! | ProvenanceRecord | the exhibit, with its reference and its files |
//! | Identity | who acted: a person, a site, the controller |
//! | InvestigativeAction | each act of the audit extract, each informed by the one before |
//! | File | the exhibit's files, with their digests |
//!
//! Nodes are named by UUIDs made of what they stand for, so that the same bundle has the same graph.

use std::collections::BTreeSet;

use custody::Digest;
use serde_json::{Value, json};

use super::Order;
use super::bag::Filed;
use super::history::Act;

/// A graph with more files than this names none of the masters: the manifests name them all.
const FILES_MAX: usize = 2_000;

/// The graph of these acts and files.
pub(super) fn text(order: &Order<'_>, acts: &[Act], files: &[Filed<'_>]) -> Vec<u8> {
    let name = |kind: &str, of: &str| name(order, kind, of);
    let exhibit = name("exhibit", order.exhibit);
    let many = files.len() > FILES_MAX;
    let files: Vec<_> =
        files.iter().filter(|f| !many || !f.path.starts_with("data/master/")).collect();
    let mut graph = vec![
        json!({
            "@id": name("investigation", order.case.as_str()),
            "@type": "case-investigation:Investigation",
            "uco-core:name": order.case,
            "uco-core:object": [{ "@id": exhibit }],
        }),
        json!({
            "@id": exhibit,
            "@type": "case-investigation:ProvenanceRecord",
            "uco-core:description": "CCTV footage with its proofs and custody record",
            "case-investigation:exhibitNumber": order.exhibit,
            "uco-core:object":
                files.iter().map(|f| json!({ "@id": name("file", f.path) })).collect::<Vec<_>>(),
        }),
        json!({
            "@id": name("tool", "watchhouse"),
            "@type": "uco-tool:Tool",
            "uco-core:name": "Watchhouse",
            "uco-tool:version": env!("CARGO_PKG_VERSION"),
        }),
    ];
    let actors: BTreeSet<&str> = acts.iter().map(|act| act.actor.as_str()).collect();
    graph.extend(actors.into_iter().map(|actor| {
        json!({
            "@id": name("identity", actor),
            "@type": "uco-identity:Identity",
            "uco-core:name": actor,
        })
    }));
    let mut before = None;
    for act in acts {
        let own = name("action", &act.position.to_string());
        graph.push(action(order, act, &own, before.as_deref()));
        before = Some(own);
    }
    graph.extend(files.iter().map(|filed| file(order, filed)));
    let document = json!({ "@context": context(), "@graph": graph });
    let mut text = serde_json::to_vec_pretty(&document).expect("values have a JSON form");
    text.push(b'\n');
    text
}

fn action(order: &Order<'_>, act: &Act, own: &str, before: Option<&str>) -> Value {
    let at = json!({ "@type": "xsd:dateTime", "@value": act.at });
    let mut words = act.words.clone();
    if let Some(purpose) = &act.purpose {
        words.push_str(&format!("; purpose: {purpose}"));
    }
    if !act.reason.is_empty() {
        words.push_str(&format!("; reason: {}", act.reason));
    }
    let mut action = json!({
        "@id": own,
        "@type": "case-investigation:InvestigativeAction",
        "uco-core:name": act.event,
        "uco-core:description": words,
        "uco-action:startTime": at,
        "uco-action:endTime": at,
        "uco-action:performer": { "@id": name(order, "identity", &act.actor) },
        "uco-action:instrument": { "@id": name(order, "tool", "watchhouse") },
        "uco-action:object": { "@id": name(order, "exhibit", order.exhibit) },
    });
    if let Some(before) = before {
        action["case-investigation:wasInformedBy"] = json!({ "@id": before });
    }
    action
}

fn file(order: &Order<'_>, filed: &Filed<'_>) -> Value {
    let name = |kind: &str| name(order, kind, filed.path);
    json!({
        "@id": name("file"),
        "@type": "uco-observable:File",
        "uco-core:hasFacet": [
            {
                "@id": name("file-facet"),
                "@type": "uco-observable:FileFacet",
                "uco-observable:fileName": filed.path.rsplit('/').next(),
                "uco-observable:filePath": filed.path,
                "uco-observable:sizeInBytes":
                    { "@type": "xsd:integer", "@value": filed.bytes.to_string() },
            },
            {
                "@id": name("content-data-facet"),
                "@type": "uco-observable:ContentDataFacet",
                "uco-observable:hash": [{
                    "@id": name("hash"),
                    "@type": "uco-types:Hash",
                    // A plain string: the ontology's own vocabulary type is refused from UCO 1.4 on.
                    "uco-types:hashMethod": "SHA256",
                    "uco-types:hashValue":
                        { "@type": "xsd:hexBinary", "@value": filed.sha256 },
                }],
            },
        ],
    })
}

/// `kb:<kind>-<uuid>`, as the ontology wants names of nodes.
fn name(order: &Order<'_>, kind: &str, of: &str) -> String {
    let digest = Digest::of(format!("{}\n{kind}\n{of}", order.exhibit).as_bytes());
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&digest.0[..16]);
    uuid[6] = uuid[6] & 0x0f | 0x50;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    let hex = hex::encode(uuid);
    let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    format!("kb:{kind}-{a}-{b}-{c}-{d}-{e}")
}

fn context() -> Value {
    json!({
        "kb": "https://watchhouse.example/kb/",
        "case-investigation": "https://ontology.caseontology.org/case/investigation/",
        "uco-action": "https://ontology.unifiedcyberontology.org/uco/action/",
        "uco-core": "https://ontology.unifiedcyberontology.org/uco/core/",
        "uco-identity": "https://ontology.unifiedcyberontology.org/uco/identity/",
        "uco-observable": "https://ontology.unifiedcyberontology.org/uco/observable/",
        "uco-tool": "https://ontology.unifiedcyberontology.org/uco/tool/",
        "uco-types": "https://ontology.unifiedcyberontology.org/uco/types/",
        "xsd": "http://www.w3.org/2001/XMLSchema#",
    })
}
