/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The filter is run by a small interpreter: what it says of each call must
 * not depend on the kernel that the test runs on.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "core/broker/notify_abi.h"
#include "core/engine/notify_filter.h"

#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#define FOREIGN_ARCH AUDIT_ARCH_I386
enum { FOREIGN_SOCKET = 359 };
#else
#define OWN_ARCH AUDIT_ARCH_AARCH64
#define FOREIGN_ARCH AUDIT_ARCH_ARM
enum { FOREIGN_SOCKET = 281 };
#endif

enum { HOST_ID = 0x12345678, MPTCP = 262, TCP_LEVEL = 6 };

static struct sock_filter code[NOTIFY_FILTER_CAP];
static int code_len;

static int set_up(void **state)
{
	(void)state;
	code_len = notify_filter_write(HOST_ID, false, code);
	return code_len > 0 ? 0 : -1;
}

static uint32_t run(const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (int pc = 0; pc < code_len; pc++) {
		const struct sock_filter *i = &code[pc];

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(i->k % 4 == 0 && i->k < sizeof(*data));
			memcpy(&a, (const char *)data + i->k, sizeof(a));
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			pc += a == i->k ? i->jt : i->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			pc += a >= i->k ? i->jt : i->jf;
			break;
		case BPF_RET | BPF_K:
			return i->k;
		default:
			fail_msg("an instruction that is not used: %u",
				 i->code);
		}
	}
	fail_msg("ran past the end");
	return 0;
}

static uint32_t ask(uint32_t arch, int nr, uint64_t a1, uint64_t a2,
		    uint64_t a4)
{
	const struct seccomp_data data = {.arch = arch, .nr = nr,
					  .args = {3, a1, a2, 0, a4, 0}};

	return run(&data);
}

static uint32_t own(int nr, uint64_t a1, uint64_t a2, uint64_t a4)
{
	return ask(OWN_ARCH, nr, a1, a2, a4);
}

static void test_named_calls_are_notified(void **state)
{
	static const int calls[] = {
		SYS_connect, SYS_bind, SYS_listen, SYS_accept, SYS_accept4,
		SYS_getsockname, SYS_getpeername, SYS_sendmsg, SYS_sendmmsg,
		SYS_recvmsg, SYS_recvmmsg};

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		assert_int_equal(own(calls[i], 0, 0, 0),
				 SECCOMP_RET_USER_NOTIF);
}

static void test_what_moves_bytes_is_not(void **state)
{
	(void)state;
	for (int nr = 0; nr < 500; nr++) {
		uint32_t action = own(nr, 0, 0, 0);

		if (nr == SYS_read || nr == SYS_write || nr == SYS_close ||
		    nr == SYS_sendto || nr == SYS_recvfrom ||
		    nr == SYS_socket || nr == SYS_setsockopt ||
		    nr == SYS_getsockopt)
			assert_int_equal(action, SECCOMP_RET_ALLOW);
	}
}

static void test_socket_is_when_asked_for(void **state)
{
	(void)state;
	code_len = notify_filter_write(HOST_ID, true, code);
	assert_int_equal(own(SYS_socket, SOCK_STREAM, 0, 0),
			 SECCOMP_RET_USER_NOTIF);
	assert_int_equal(own(SYS_socket, SOCK_STREAM, MPTCP, 0),
			 SECCOMP_RET_ERRNO | EPROTONOSUPPORT);
	assert_int_equal(own(SYS_read, 0, 0, 0), SECCOMP_RET_ALLOW);
	code_len = notify_filter_write(HOST_ID, false, code);
}

/* A pointer counts with both halves. */
static void test_addressed_ones_are(void **state)
{
	static const uint64_t pointers[] = {1, 1ull << 32, UINT64_MAX};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(own(SYS_sendto, 0, 0, pointers[i]),
				 SECCOMP_RET_USER_NOTIF);
		assert_int_equal(own(SYS_recvfrom, 0, 0, pointers[i]),
				 SECCOMP_RET_USER_NOTIF);
	}
}

static void test_options(void **state)
{
	(void)state;
	assert_int_equal(own(SYS_getsockopt, SOL_SOCKET, SO_ERROR, 0),
			 SECCOMP_RET_USER_NOTIF);
	assert_int_equal(own(SYS_getsockopt, SOL_SOCKET, SO_TYPE, 0),
			 SECCOMP_RET_ALLOW);
	assert_int_equal(own(SYS_getsockopt, TCP_LEVEL, SO_ERROR, 0),
			 SECCOMP_RET_ALLOW);
	assert_int_equal(own(SYS_getsockopt, TCP_LEVEL, TCP_INFO, 0),
			 SECCOMP_RET_USER_NOTIF);
	assert_int_equal(own(SYS_setsockopt, TCP_LEVEL, TCP_INFO, 0),
			 SECCOMP_RET_ALLOW);
	assert_int_equal(own(SYS_setsockopt, SOL_SOCKET, SO_KEEPALIVE, 0),
			 SECCOMP_RET_USER_NOTIF);
	assert_int_equal(own(SYS_getsockopt, SOL_SOCKET, SO_KEEPALIVE, 0),
			 SECCOMP_RET_ALLOW);
	assert_int_equal(own(SYS_setsockopt, TCP_LEVEL, TCP_NODELAY, 0),
			 SECCOMP_RET_ALLOW);
}

static void test_the_probe_knows_its_host(void **state)
{
	(void)state;
	assert_int_equal(own(SYS_getsockopt, TS_NOTIFY_PROBE_LEVEL, HOST_ID, 0),
			 SECCOMP_RET_ERRNO | TS_NOTIFY_PROBE_ERRNO);
	assert_int_equal(own(SYS_getsockopt, TS_NOTIFY_PROBE_LEVEL, HOST_ID + 1,
			     0), SECCOMP_RET_ALLOW);
	assert_true(ts_notify_host_id("a", "b") != ts_notify_host_id("b", "a"));
}

static void test_what_does_not_exist(void **state)
{
	(void)state;
	assert_int_equal(own(SYS_socket, SOCK_STREAM, MPTCP, 0),
			 SECCOMP_RET_ERRNO | EPROTONOSUPPORT);
	assert_int_equal(own(425, 0, 0, 0), SECCOMP_RET_ERRNO | ENOSYS);
#if defined(__x86_64__)
	assert_int_equal(own(0x40000000 | SYS_connect, 0, 0, 0),
			 SECCOMP_RET_ERRNO | ENOSYS);
#endif
}

static void test_another_machine_is_asked_about(void **state)
{
	(void)state;
	assert_int_equal(ask(FOREIGN_ARCH, FOREIGN_SOCKET, 0, 0, 0),
			 SECCOMP_RET_USER_NOTIF);
	assert_int_equal(ask(FOREIGN_ARCH, SYS_connect, 0, 0, 0),
			 SECCOMP_RET_ALLOW);
	assert_int_equal(ask(FOREIGN_ARCH, 425, 0, 0, 0),
			 SECCOMP_RET_ERRNO | ENOSYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_named_calls_are_notified),
		cmocka_unit_test(test_what_moves_bytes_is_not),
		cmocka_unit_test(test_socket_is_when_asked_for),
		cmocka_unit_test(test_addressed_ones_are),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_the_probe_knows_its_host),
		cmocka_unit_test(test_what_does_not_exist),
		cmocka_unit_test(test_another_machine_is_asked_about),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
