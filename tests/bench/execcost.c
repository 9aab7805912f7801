/* SPDX-License-Identifier: BSD-3-Clause
 * execcost.c - what a preloaded library costs a program that does not use it
 *
 *	execcost LIBRARY RUNS PROGRAM [ARGUMENT...]
 *
 * Runs the program RUNS times with LIBRARY in LD_PRELOAD and as often without,
 * in turns. Instructions are counted where the machine has such a counter.
 */
#include "net.h"

#include <linux/perf_event.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUNS_MAX = 10000, ENVIRONMENT_MAX = 1024 };

extern char **environ;

struct cost {
	char *env[ENVIRONMENT_MAX];
	uint64_t took_ns[RUNS_MAX];
	uint64_t instructions;
};

/* Counts children from their exec on; -1 where there is no counter. */
static int open_counter(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_HW_INSTRUCTIONS,
		.disabled = 1,
		.inherit = 1,
		.enable_on_exec = 1,
		.exclude_kernel = 1,
	};

	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static void make_environment(struct cost *cost, char *preload)
{
	size_t n = 0;

	for (char **e = environ; *e && n < ENVIRONMENT_MAX - 2; e++)
		if (strncmp(*e, "LD_PRELOAD=", 11))
			cost->env[n++] = *e;
	cost->env[n++] = preload;
	cost->env[n] = NULL;
}

static int run_once(struct cost *cost, int run, char **argv)
{
	int counter = open_counter();
	uint64_t start = now_ns();
	uint64_t instructions = 0;
	int status;
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, cost->env) ||
	    waitpid(pid, &status, 0) != pid || status) {
		fprintf(stderr, "execcost: %s did not succeed\n", argv[0]);
		return -1;
	}
	cost->took_ns[run] = now_ns() - start;
	if (counter >= 0) {
		if (read(counter, &instructions, 8) == 8)
			cost->instructions = instructions;
		close(counter);
	}
	return 0;
}

int main(int argc, char **argv)
{
	static struct cost with, without;
	static char preload[4096];
	int runs = argc > 3 ? atoi(argv[2]) : 0;
	double a, b;

	if (runs <= 0 || runs > RUNS_MAX) {
		fprintf(stderr, "usage: execcost LIBRARY RUNS PROGRAM...\n");
		return 64;
	}
	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", argv[1]);
	make_environment(&with, preload);
	make_environment(&without, NULL);
	for (int run = 0; run < runs; run++)
		if (run_once(&without, run, argv + 3) ||
		    run_once(&with, run, argv + 3))
			return 1;
	sort_ns(with.took_ns, (size_t)runs);
	sort_ns(without.took_ns, (size_t)runs);
	a = percentile_us(with.took_ns, (size_t)runs, 50);
	b = percentile_us(without.took_ns, (size_t)runs, 50);
	printf("{\"with_us\": %.1f, \"without_us\": %.1f, \"more_us\": %.1f, "
	       "\"with_instructions\": %llu, "
	       "\"without_instructions\": %llu}\n",
	       a, b, a - b, (unsigned long long)with.instructions,
	       (unsigned long long)without.instructions);
	return 0;
}
