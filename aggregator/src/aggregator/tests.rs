mod crashes;
mod held;
mod lifecycle;
mod refusals;
mod world;
