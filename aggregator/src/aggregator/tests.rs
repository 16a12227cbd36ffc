mod crashes;
mod held;
mod lifecycle;
mod refusals;
mod stored;
mod tasks;
mod world;
