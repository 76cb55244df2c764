//! Settings with mistakes and folders that cannot be used: all is said at once, in words that say
//! what to do.

use std::fs;
use std::time::Duration;

use harness::rig::process::Launch;

const MOMENT: Duration = Duration::from_secs(30);

async fn edge_agent(arguments: &[&str]) -> (i32, String) {
    let output = Launch::of("edge-agent")
        .unwrap()
        .args(arguments.iter().copied())
        .run(MOMENT)
        .await
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn every_mistake_of_the_settings_is_told_at_once_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let (code, example) = edge_agent(&["--print-config"]).await;
    assert_eq!(code, 0, "{example}");
    let path = folder.path().join("east.toml");
    let good = path.to_str().unwrap();
    fs::write(&path, &example).unwrap();
    let (code, said) = edge_agent(&["check-config", "--config", good]).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("2 cameras"), "{said}");

    let wrong = example
        .replace("retain = \"31d\"", "retain = \"90d\"")
        .replace("[0.4, 0.0], [0.4, 0.2], [0.0, 0.2]", "[1.5, 0.0]")
        .replace("rtsps://10.1.1.11:322", "http://10.1.1.11:322")
        .replace("[link]", "[lnik]");
    fs::write(&path, wrong).unwrap();
    let (code, said) = edge_agent(&["check-config", "--config", good]).await;
    assert_eq!(code, 1, "{said}");
    for expected in ["never kept longer", "polygon 1", "rtsp://", "lnik: unknown key"] {
        assert!(said.contains(expected), "{expected} is not in:\n{said}");
    }
    assert!(said.lines().filter(|line| line.starts_with("line ")).count() >= 4, "{said}");
}

#[tokio::test]
async fn a_store_folder_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (_, example) = edge_agent(&["--print-config"]).await;
    let store = folder.path().join("store");
    fs::write(&store, "a file where the folder should be").unwrap();
    let path = folder.path().join("east.toml");
    fs::write(&path, example.replace("/var/lib/watchhouse", store.to_str().unwrap())).unwrap();
    let (code, said) = edge_agent(&["run", "--config", path.to_str().unwrap()]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(store.to_str().unwrap()) && said.contains("must be readable"), "{said}");
}
