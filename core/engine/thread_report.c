/* SPDX-License-Identifier: BSD-3-Clause
 * thread_report.c - what this process is made of: threads, and what waits
 *
 * In place of a dump of goroutines, of which there are none. Nothing in it
 * comes from memory that could hold a secret.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/engine/engine_internal.h"

/* "1234 (name) S ...": the name may have anything in it, but ends at the last
 * parenthesis. Fields 14 and 15 are its time in ticks. */
static void write_thread(FILE *out, const char *text)
{
	const char *name = strchr(text, '('), *end = strrchr(text, ')');
	unsigned long user = 0, system = 0;
	long tick = sysconf(_SC_CLK_TCK);
	char state = '?';

	if (!name || !end || end < name ||
	    sscanf(end + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu "
			    "%lu", &state, &user, &system) != 3 || tick <= 0)
		return;
	fprintf(out, "thread %.*s %.*s: state %c, %.2f s user, %.2f s system\n",
		(int)strcspn(text, " "), text, (int)(end - name - 1), name + 1,
		state, (double)user / (double)tick,
		(double)system / (double)tick);
}

static void write_threads(FILE *out)
{
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		char path[64], text[512];
		size_t len;
		FILE *f;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%.20s/stat",
			 entry->d_name);
		f = fopen(path, "re");
		len = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
		text[len] = '\0';
		if (f)
			fclose(f);
		write_thread(out, text);
	}
	closedir(dir);
}

static void write_node(FILE *out, const struct ts_engine *engine)
{
	const struct ts_node *node = engine->node;
	uint64_t now_ms = ts_loop_now_ms(engine->loop);
	uint64_t at_ms = ts_node_deadline_ms(node);

	fprintf(out, "node %s: state %s, %zu relays connected, %zu packets "
		     "wait for a handshake\n", engine->config.hostname,
		ts_node_state_name(ts_node_state(node)),
		ts_node_live_derps(node), ts_node_unsent(node, now_ms));
	if (at_ms != UINT64_MAX)
		fprintf(out, "node %s: its next timer is due in %lld ms\n",
			engine->config.hostname,
			at_ms > now_ms ? (long long)(at_ms - now_ms) : 0);
}

char *engine_thread_report(void *ctx)
{
	struct ts_engine *engine = ctx;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	fprintf(out, "This node has no goroutines: it is one thread of process "
		     "%d.\n", (int)getpid());
	write_threads(out);
	write_node(out, engine);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}
