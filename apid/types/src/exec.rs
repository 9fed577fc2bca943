//! Processes started in a running container.

use crate::shape::{is_default, shape};

shape! {
    /// `POST /containers/{id}/exec`
    pub struct ExecCreateBody {
        pub user: String,
        pub privileged: bool,
        pub tty: bool,
        /// Height and width in characters.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub console_size: Option<[u32; 2]>,
        pub attach_stdin: bool,
        pub attach_stderr: bool,
        pub attach_stdout: bool,
        pub detach_keys: String,
        pub env: Option<Vec<String>>,
        pub working_dir: String,
        pub cmd: Option<crate::StringOrList>,
    }
}

shape! {
    /// `POST /exec/{id}/start`
    pub struct ExecStartBody {
        pub detach: bool,
        pub tty: bool,
        /// Height and width in characters.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub console_size: Option<[u32; 2]>,
    }
}

shape! {
    /// `GET /exec/{id}/json`
    pub struct ExecInspect {
        #[serde(rename = "ID")]
        pub id: String,
        pub running: bool,
        /// None: it has not ended.
        pub exit_code: Option<i64>,
        pub process_config: ExecProcess,
        pub open_stdin: bool,
        pub open_stderr: bool,
        pub open_stdout: bool,
        pub can_remove: bool,
        #[serde(rename = "ContainerID")]
        pub container_id: String,
        pub detach_keys: String,
        /// On the host; 0: not running.
        pub pid: i64,
    }
}

/// `ProcessConfig` of an exec's inspection; these names are in lower case in the API.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct ExecProcess {
    pub tty: bool,
    pub entrypoint: String,
    pub arguments: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privileged: Option<bool>,
    #[serde(skip_serializing_if = "is_default")]
    pub user: String,
}
