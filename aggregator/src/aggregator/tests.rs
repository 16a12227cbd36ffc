mod crashes;
mod lifecycle;
mod refusals;
mod world;
