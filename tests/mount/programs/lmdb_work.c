// SPDX-License-Identifier: Apache-2.0
/*
 * Two processes work on one LMDB environment: each commits its own records in
 * small transactions and, between them, reads in one snapshot how many records
 * both have; a record is never seen without those committed before it.
 *
 *	lmdb_work DIRECTORY default|writemap|mapasync TRANSACTIONS
 *	lmdb_work DIRECTORY check TRANSACTIONS
 *
 * `check` opens the environment afresh and compares every record. Ends with 0
 * when all were right.
 */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PER_TRANSACTION 5
#define VALUE_SIZE 600

static void need(int result, const char *what)
{
	if (result == 0)
		return;
	fprintf(stderr, "%s: %s\n", what, mdb_strerror(result));
	exit(1);
}

static MDB_env *env_new(const char *directory, unsigned int flags)
{
	MDB_env *env;

	need(mdb_env_create(&env), "mdb_env_create");
	need(mdb_env_set_mapsize(env, (size_t)64 << 20), "mapsize");
	need(mdb_env_open(env, directory, flags, 0644), "mdb_env_open");
	return env;
}

static size_t key_of(char key[32], int process, int number)
{
	return (size_t)snprintf(key, 32, "%d:%08d", process, number) + 1;
}

static void value_of(char value[VALUE_SIZE], int process, int number)
{
	memset(value, 'a' + (process * 13 + number) % 26, VALUE_SIZE);
}

static void commit_records(MDB_env *env, int process, int transaction)
{
	MDB_txn *txn;
	MDB_dbi dbi;

	need(mdb_txn_begin(env, NULL, 0, &txn), "mdb_txn_begin");
	need(mdb_dbi_open(txn, NULL, 0, &dbi), "mdb_dbi_open");
	for (int i = 0; i < PER_TRANSACTION; i++) {
		int number = transaction * PER_TRANSACTION + i;
		char name[32];
		char bytes[VALUE_SIZE];
		MDB_val key = { key_of(name, process, number), name };
		MDB_val value = { sizeof(bytes), bytes };

		value_of(bytes, process, number);
		need(mdb_put(txn, dbi, &key, &value, 0), "mdb_put");
	}
	need(mdb_txn_commit(txn), "mdb_txn_commit");
}

/* All records of the process below `count` are there with their values. */
static void check_records(MDB_env *env, int process, int count)
{
	MDB_txn *txn;
	MDB_dbi dbi;

	need(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "mdb_txn_begin");
	need(mdb_dbi_open(txn, NULL, 0, &dbi), "mdb_dbi_open");
	for (int number = 0; number < count; number++) {
		char name[32];
		char expected[VALUE_SIZE];
		MDB_val key = { key_of(name, process, number), name };
		MDB_val value;

		value_of(expected, process, number);
		need(mdb_get(txn, dbi, &key, &value), name);
		if (value.mv_size != sizeof(expected) ||
		    memcmp(value.mv_data, expected, sizeof(expected)) != 0) {
			fprintf(stderr, "record %s is damaged\n", name);
			exit(1);
		}
	}
	mdb_txn_abort(txn);
}

static size_t entries(MDB_env *env)
{
	MDB_stat stat;

	need(mdb_env_stat(env, &stat), "mdb_env_stat");
	return stat.ms_entries;
}

static void work(const char *directory, unsigned int flags, int process,
		 int transactions)
{
	MDB_env *env = env_new(directory, flags);

	for (int i = 0; i < transactions; i++) {
		commit_records(env, process, i);
		if (i % 10 == 9)
			check_records(env, process, (i + 1) * PER_TRANSACTION);
		if (entries(env) % PER_TRANSACTION != 0) {
			fprintf(stderr, "half a transaction is visible\n");
			exit(1);
		}
	}
	need(mdb_env_sync(env, 1), "mdb_env_sync");
	mdb_env_close(env);
}

static int check(const char *directory, int transactions)
{
	MDB_env *env = env_new(directory, 0);
	size_t expected = (size_t)transactions * PER_TRANSACTION * 2;
	int result = entries(env) != expected;

	if (result)
		fprintf(stderr, "%zu records, not %zu\n", entries(env),
			expected);
	check_records(env, 0, transactions * PER_TRANSACTION);
	check_records(env, 1, transactions * PER_TRANSACTION);
	mdb_env_close(env);
	return result;
}

int main(int argc, char **argv)
{
	unsigned int flags = 0;
	int transactions;
	pid_t child;
	int status;

	if (argc != 4) {
		fprintf(stderr, "usage: lmdb_work DIRECTORY MODE COUNT\n");
		return 2;
	}
	transactions = atoi(argv[3]);
	if (strcmp(argv[2], "check") == 0)
		return check(argv[1], transactions);
	if (strcmp(argv[2], "writemap") == 0)
		flags = MDB_WRITEMAP;
	else if (strcmp(argv[2], "mapasync") == 0)
		flags = MDB_WRITEMAP | MDB_MAPASYNC;
	/* LMDB's environments must not be carried over a fork. */
	child = fork();
	if (child < 0)
		return 1;
	alarm(60);
	work(argv[1], flags, child == 0, transactions);
	if (child == 0)
		_exit(0);
	if (waitpid(child, &status, 0) < 0 || status != 0)
		return 1;
	return 0;
}
