// SPDX-License-Identifier: Apache-2.0
//
// A Node.js program whose data is a mapped file.
//
//	node mmap_program.js ADDON DIRECTORY
//
// It and a child process count in one mapped counter, each sees the other's
// bytes, and what went in through the mapping comes out of fs and the other
// way round; the file grows and is mapped again.
'use strict';

const assert = require('assert');
const fs = require('fs');
const path = require('path');
const { fork } = require('child_process');

const [addonPath, directory, role] = process.argv.slice(2);
const addon = require(path.resolve(addonPath));
const file = path.join(directory, 'mapped.bin');
const SIZE = 4 << 20;
const ROUNDS = 20000;

function count(buffer) {
	const counter = new Int32Array(buffer, 0, 1);
	for (let i = 0; i < ROUNDS; i++)
		Atomics.add(counter, 0, 1);
}

function childsBytes(buffer) {
	return new Uint8Array(buffer, 8192, 4096);
}

function child() {
	const buffer = addon.map(file, SIZE);
	count(buffer);
	childsBytes(buffer).fill(0x5a);
	addon.sync(buffer);
	addon.unmap(buffer);
}

async function countTogether(buffer) {
	const other = fork(__filename, [addonPath, directory, 'child']);
	const ended = new Promise((resolve) => other.on('exit', resolve));
	count(buffer);
	assert.strictEqual(await ended, 0);
	assert.strictEqual(new Int32Array(buffer, 0, 1)[0], 2 * ROUNDS);
	assert(childsBytes(buffer).every((byte) => byte === 0x5a));
}

function throughTheMapping(buffer) {
	const bytes = new Uint8Array(buffer, 64 * 1024);
	for (let i = 0; i < bytes.length; i++)
		bytes[i] = i * 31 % 251;
	addon.sync(buffer);
	const read = fs.readFileSync(file).subarray(64 * 1024);
	assert.strictEqual(Buffer.compare(read, Buffer.from(bytes)), 0);
}

function throughTheDescriptor(buffer) {
	const fd = fs.openSync(file, 'r+');
	fs.writeSync(fd, Buffer.alloc(10000, 0x77), 0, 10000, 3 << 20);
	assert(new Uint8Array(buffer, 3 << 20, 10000).every((b) => b === 0x77));
	fs.fsyncSync(fd);
	fs.closeSync(fd);
}

function grown() {
	fs.truncateSync(file, 2 * SIZE);
	const buffer = addon.map(file, 2 * SIZE);
	assert.strictEqual(new Int32Array(buffer, 0, 1)[0], 2 * ROUNDS);
	new Uint8Array(buffer)[2 * SIZE - 1] = 9;
	addon.unmap(buffer);
	assert.strictEqual(fs.readFileSync(file)[2 * SIZE - 1], 9);
}

async function parent() {
	fs.writeFileSync(file, Buffer.alloc(SIZE));
	const buffer = addon.map(file, SIZE);
	await countTogether(buffer);
	throughTheMapping(buffer);
	throughTheDescriptor(buffer);
	addon.unmap(buffer);
	grown();
}

if (role === 'child')
	child();
else
	parent().catch((error) => {
		console.error(error);
		process.exit(1);
	});
