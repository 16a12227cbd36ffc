//! Every bound on what a peer may send, in one place. Units are in the names.

/// Longest device, federation or instance name in characters: one MQTT topic level.
pub const NAME_CHARS_MAX: usize = 64;
/// Shortest chunk of an object in bytes that a plan may ask for.
pub const CHUNK_BYTES_MIN: u32 = 4 * 1024;
/// Longest chunk in bytes: AWS IoT Core stops at 128 KiB a message.
pub const CHUNK_BYTES_MAX: u32 = 120 * 1024;
/// Chunk length where nobody says otherwise: fits every broker that we know.
pub const CHUNK_BYTES_DEFAULT: u32 = 32 * 1024;
/// Longest MQTT packet in bytes that a client must take: the longest chunk and room for its topic.
pub const PACKET_BYTES_MAX: usize = CHUNK_BYTES_MAX as usize + 4 * 1024;
/// Longest object (task, model, update) in bytes.
pub const OBJECT_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// Chunks of one object at the most.
pub const CHUNKS_MAX: u32 = OBJECT_BYTES_MAX / CHUNK_BYTES_MIN;
/// Longest control message (plan, claim, go, ack, verdict, gave up) in bytes.
pub const CONTROL_BYTES_MAX: usize = 8 * 1024;
/// Longest task description in bytes.
pub const TASK_BYTES_MAX: usize = 64 * 1024;
/// Parameters of one model at the most.
pub const PARAMS_MAX: usize = 2 * 1024 * 1024;
/// Layers of one model at the most.
pub const LAYERS_MAX: usize = 32;
/// Values in the activations of one layer for one window at the most.
pub const ACTIVATIONS_MAX: usize = 1024 * 1024;
/// Sensor channels at the most.
pub const CHANNELS_MAX: usize = 64;
/// Samples in one window at the most.
pub const WINDOW_SAMPLES_MAX: usize = 8 * 1024;
/// Classes at the most.
pub const CLASSES_MAX: usize = 256;
/// Characters of a label, unit or channel name at the most.
pub const LABEL_CHARS_MAX: usize = 32;
/// Open work items in one plan at the most.
pub const WORK_ITEMS_MAX: usize = 4;
/// Model versions that one plan lists at the most.
pub const MODELS_MAX: usize = 16;
/// Edges of one histogram at the most.
pub const EDGES_MAX: usize = 256;
/// Extensions of one message or work item at the most.
pub const EXTENSIONS_MAX: usize = 8;
/// Longest extension in bytes.
pub const EXTENSION_BYTES_MAX: usize = 1024;
/// Aggregator shards at the most.
pub const SHARDS_MAX: u16 = 1024;
/// Local passes over the data in one round at the most.
pub const EPOCHS_MAX: u16 = 1000;
/// Windows in one local batch at the most.
pub const BATCH_MAX: u16 = 1024;
/// Chunks sent and not yet acknowledged at the most.
pub const WINDOW_CHUNKS: usize = 4;
/// Chunk topics that a device subscribes to at one time: with its five standing topics, eight.
pub const FETCH_TOPICS: usize = 3;
