create schema sprocket;
