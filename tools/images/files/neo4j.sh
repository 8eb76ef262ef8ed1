#!/bin/sh
exec neo4j-stand
