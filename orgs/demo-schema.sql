-- Starting data of the demo organization: just enough tables and rows for somebody to sign in. Made up; no league's data.
create schema sprocket;
create schema mledb;

create table sprocket.organization (
    id integer primary key,
    name text not null
);
create table sprocket."user" (
    id serial primary key,
    "organizationId" integer not null references sprocket.organization (id)
);
create table mledb.player (
    id serial primary key,
    name text not null,
    discord_id text not null unique
);

insert into sprocket.organization (id, name) values (2, 'Demo League');
insert into sprocket."user" ("organizationId") values (2);
insert into mledb.player (name, discord_id) values ('Alice Example', '100000000000000001');
