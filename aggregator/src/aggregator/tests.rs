mod crashes;
mod held;
mod lifecycle;
mod queries;
mod refusals;
mod stored;
mod tasks;
mod world;
