/* SPDX-License-Identifier: BSD-3-Clause
 * test_elf_symbols.c - our search finds what dlsym(RTLD_NEXT) finds
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shim/elf_symbols.c"

#include <stdio.h>
#include <unistd.h>

/* Everything that libc_table.c looks up, and two with several versions. */
static void finds_what_dlsym_finds(void **state)
{
	static const char *const names[] = {
		"accept", "accept4", "bind", "connect", "listen",
		"getpeername", "getsockname", "getsockopt", "setsockopt",
		"sendmmsg", "sendmsg", "sendto", "socket", "getaddrinfo",
		"getnameinfo", "gethostbyaddr", "gethostbyaddr_r",
		"gethostbyname", "gethostbyname2", "gethostbyname_r",
		"gethostbyname2_r", "realpath", "pthread_cond_wait",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		void *expected = dlsym(RTLD_NEXT, names[i]);

		assert_non_null(expected);
		if (shim_elf_search(names[i]) != expected)
			fail_msg("%s", names[i]);
		assert_ptr_equal(shim_next_symbol(names[i]), expected);
	}
}

static void nothing_is_nothing(void **state)
{
	(void)state;
	assert_null(shim_elf_search("no_such_function_anywhere"));
	assert_null(shim_elf_search(""));
	assert_null(shim_elf_search("environ")); /* no function */
	assert_null(shim_elf_search("main")); /* is in us, not after */
}

static void empty_tables_are_not_read(void **state)
{
	static const uint32_t no_buckets[4] = {0};
	struct object o = {.hash = no_buckets, .symbols = (void *)no_buckets,
			   .names = ""};

	(void)state;
	assert_null(find_in(&o, "connect"));
	o.hash = NULL;
	assert_null(find_in(&o, "connect"));
}

static void own_path_is_where_we_are(void **state)
{
	(void)state;
#ifdef __GLIBC__
	/* The program itself has no name in the list. */
	assert_string_equal(shim_own_path(), "");
#else
	assert_non_null(strstr(shim_own_path(), "test_elf_symbols"));
#endif
}

static void dl_is_libdls(void **state)
{
	struct shim_dl dl;

	(void)state;
	assert_true(shim_dl_ready(&dl));
	assert_non_null(dl.sym(RTLD_DEFAULT, "connect"));
	assert_null(dl.open("/nonexistent.so", RTLD_NOW));
	assert_non_null(dl.error());
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(finds_what_dlsym_finds),
	cmocka_unit_test(nothing_is_nothing),
	cmocka_unit_test(empty_tables_are_not_read),
	cmocka_unit_test(own_path_is_where_we_are),
	cmocka_unit_test(dl_is_libdls),
};

int main(void)
{
	return cmocka_run_group_tests(tests, NULL, NULL);
}
