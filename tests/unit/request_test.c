// SPDX-License-Identifier: Apache-2.0
#include "support.h"

#include <errno.h>
#include <string.h>

#include "fuse/request.h"
#include "fuse/wire.h"

static union {
	unsigned char bytes[1024];
	struct wire_in_header header;
} message;

/* A message with this body; its whole size. */
static size_t compose(uint32_t opcode, const void *body, size_t size)
{
	memset(&message, 0, sizeof(message));
	message.header = (struct wire_in_header){
		.len = (uint32_t)(sizeof(message.header) + size),
		.opcode = opcode,
		.unique = UINT64_C(0x123456789abcdef0),
		.nodeid = 1,
		.uid = 1001,
		.gid = 1002,
		.pid = 1003,
	};
	memcpy(message.bytes + sizeof(message.header), body, size);
	return message.header.len;
}

/* What the request asks for when cut to each size; the last is whole. */
static void assert_kills_from(size_t needed, size_t size)
{
	for (size_t cut = sizeof(message.header); cut <= size; cut++) {
		bool whole = cut >= sizeof(message.header) + needed;

		assert_int_equal(request_parse(&message, cut), 0);
		assert_int_equal(current_request.caller.kill_privileges,
			whole);
	}
}

static void the_header_tells_who_asks_for_what(void **state)
{
	(void)state;
	assert_int_equal(request_parse(&message, compose(1, "name", 5)), 0);
	assert_int_equal(current_request.opcode, 1);
	assert_true(current_request.unique == UINT64_C(0x123456789abcdef0));
	assert_int_equal(current_request.caller.uid, 1001);
	assert_int_equal(current_request.caller.gid, 1002);
	assert_int_equal(current_request.caller.pid, 1003);
	assert_false(current_request.caller.kill_privileges);
}

static void a_message_shorter_than_its_header_is_refused(void **state)
{
	(void)state;
	compose(1, "name", 5);
	for (size_t size = 0; size < sizeof(message.header); size++)
		assert_int_equal(request_parse(&message, size), -EINVAL);
}

static void nothing_is_left_of_the_request_before(void **state)
{
	struct wire_write_in body = { .write_flags = ~UINT32_C(0) };

	(void)state;
	request_parse(&message, compose(WIRE_WRITE, &body, sizeof(body)));
	current_request.backing_id = 5;
	current_request.read_fd = 7;
	current_request.read_size = 100;
	request_parse(&message, compose(WIRE_READ, &body, sizeof(body)));
	assert_false(current_request.caller.kill_privileges);
	assert_int_equal(current_request.backing_id, 0);
	assert_int_equal(current_request.read_fd, -1);
	assert_int_equal(current_request.read_size, 0);
}

static void setattr_has_its_kill_flag_in_valid(void **state)
{
	struct wire_setattr_in body = { .valid = 1u << 11 };
	size_t size = compose(WIRE_SETATTR, &body, sizeof(body));

	(void)state;
	assert_kills_from(sizeof(body), size);
	body.valid = ~(1u << 11);
	request_parse(&message, compose(WIRE_SETATTR, &body, sizeof(body)));
	assert_false(current_request.caller.kill_privileges);
}

static void open_and_create_have_it_in_open_flags(void **state)
{
	struct wire_open_in open = { .open_flags = 1 };
	struct wire_create_in create = { .open_flags = 1 };

	(void)state;
	assert_kills_from(sizeof(open),
		compose(WIRE_OPEN, &open, sizeof(open)));
	assert_kills_from(sizeof(create),
		compose(WIRE_CREATE, &create, sizeof(create)));
	/* The other fields must not be taken for it. */
	open = (struct wire_open_in){ ~UINT32_C(0), ~UINT32_C(1) };
	request_parse(&message, compose(WIRE_OPEN, &open, sizeof(open)));
	assert_false(current_request.caller.kill_privileges);
	create = (struct wire_create_in){ 1, 1, 1, ~UINT32_C(1) };
	request_parse(&message, compose(WIRE_CREATE, &create, sizeof(create)));
	assert_false(current_request.caller.kill_privileges);
}

static void write_has_it_in_write_flags(void **state)
{
	struct wire_write_in body = { .write_flags = 1u << 2 };

	(void)state;
	assert_kills_from(sizeof(body),
		compose(WIRE_WRITE, &body, sizeof(body)));
	memset(&body, 0xff, sizeof(body));
	body.write_flags = ~(1u << 2);
	request_parse(&message, compose(WIRE_WRITE, &body, sizeof(body)));
	assert_false(current_request.caller.kill_privileges);
}

static void no_other_operation_kills(void **state)
{
	unsigned char ones[128];

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	for (uint32_t opcode = 0; opcode < 100; opcode++) {
		if (opcode == WIRE_SETATTR || opcode == WIRE_OPEN ||
			opcode == WIRE_CREATE || opcode == WIRE_WRITE)
			continue;
		request_parse(&message, compose(opcode, ones, sizeof(ones)));
		assert_false(current_request.caller.kill_privileges);
	}
}

static void init_tells_what_the_kernel_offers(void **state)
{
	struct wire_init_in body = {
		.major = 7,
		.minor = 40,
		.flags = UINT32_C(1) << 30 | UINT32_C(1) << 28,
		.flags2 = UINT32_C(1) << 5,
	};

	(void)state;
	request_parse(&message, compose(WIRE_INIT, &body, sizeof(body)));
	assert_true(current_request.offered & WIRE_INIT_HANDLE_KILLPRIV_V2);
	assert_true(current_request.offered2 & WIRE_INIT2_PASSTHROUGH);
}

/* Before protocol 7.36 the message ended after flags. */
static void an_old_kernel_s_short_init_offers_no_flags2(void **state)
{
	struct wire_init_in body = {
		.flags = ~UINT32_C(0),
		.flags2 = ~UINT32_C(0),
	};
	size_t size = compose(WIRE_INIT, &body, sizeof(body));

	(void)state;
	size = sizeof(message.header) + offsetof(struct wire_init_in, flags2);
	assert_int_equal(request_parse(&message, size), 0);
	assert_int_equal(current_request.offered, ~UINT32_C(0));
	assert_int_equal(current_request.offered2, 0);
	assert_int_equal(request_parse(&message, size - 1), 0);
	assert_int_equal(current_request.offered, 0);
	/* Without FUSE_INIT_EXT those bytes mean nothing. */
	body.flags = ~(UINT32_C(1) << 30);
	request_parse(&message, compose(WIRE_INIT, &body, sizeof(body)));
	assert_int_equal(current_request.offered2, 0);
}

static int use_spare(void *argument, unsigned number)
{
	char *spare = request_spare();
	int wrong = 0;

	(void)argument;
	expect(spare != NULL);
	expect(spare == request_spare());
	memset(spare, (int)number + 1, REQUEST_SPARE_SIZE);
	for (size_t i = 0; i < REQUEST_SPARE_SIZE; i += 4096)
		wrong += spare[i] != (char)(number + 1);
	request_spare_free();
	request_spare_free();
	return wrong;
}

static void each_thread_has_a_spare_buffer(void **state)
{
	(void)state;
	assert_int_equal(in_threads(4, use_spare, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_header_tells_who_asks_for_what),
		cmocka_unit_test(a_message_shorter_than_its_header_is_refused),
		cmocka_unit_test(nothing_is_left_of_the_request_before),
		cmocka_unit_test(setattr_has_its_kill_flag_in_valid),
		cmocka_unit_test(open_and_create_have_it_in_open_flags),
		cmocka_unit_test(write_has_it_in_write_flags),
		cmocka_unit_test(no_other_operation_kills),
		cmocka_unit_test(init_tells_what_the_kernel_offers),
		cmocka_unit_test(an_old_kernel_s_short_init_offers_no_flags2),
		cmocka_unit_test(each_thread_has_a_spare_buffer),
	};

	return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
