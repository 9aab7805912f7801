/* SPDX-License-Identifier: BSD-3-Clause
 * test_net_monitor.c - what the monitor asks the kernel for
 */
#include "unit/test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io/net_monitor.h"

static void never(void *ctx)
{
	(void)ctx;
	fail_msg("nothing has changed");
}

/* Seconds until the process's only timerfd expires; -1: there is none. */
static long long timer_seconds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	long long seconds = -1;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char path[300], link[64] = "", line[128];
		FILE *info;

		snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
		if (readlink(path, link, sizeof(link) - 1) < 0 ||
		    strcmp(link, "anon_inode:[timerfd]") != 0)
			continue;
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%s",
			 entry->d_name);
		info = fopen(path, "r");
		assert_non_null(info);
		while (fgets(line, sizeof(line), info))
			sscanf(line, "it_value: (%lld,", &seconds);
		fclose(info);
	}
	closedir(dir);
	return seconds;
}

/* A clock that is set beyond 2038 must not make the alarm ring for ever. */
static void the_alarm_lies_a_lifetime_ahead(void **state)
{
	struct ts_loop *loop = ts_loop_new();
	struct ts_net_monitor *m;
	long long seconds;

	(void)state;
	assert_non_null(loop);
	m = ts_net_monitor_open(loop, never, NULL);
	if (!m) {
		ts_loop_free(loop);
		skip(); /* no netlink here */
	}
	seconds = timer_seconds();
	if (seconds >= 0)
		assert_true(seconds > 100LL * 365 * 86400);
	ts_net_monitor_close(m);
	ts_loop_free(loop);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_alarm_lies_a_lifetime_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
