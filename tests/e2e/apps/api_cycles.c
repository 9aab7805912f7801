/* SPDX-License-Identifier: BSD-3-Clause
 * api_cycles.c - servers come and go, and what they leave behind
 *
 * Each turn is a server's whole life: it starts, listens, captures, calls
 * another server and is called by it, and is closed. When the process has got
 * used to it nothing grows any more: neither descriptors nor threads, their
 * stacks (mappings) nor other memory. By hand, TURNS may be hundreds.
 */
#include <dirent.h>
#include <stdlib.h>

#include "api_check.h"

enum { FIRST_TURNS = 4 };

struct use {
	long descriptors, threads, mappings, resident_kb;
};

static struct tsnet *base;
static char base_at[TSNET_ADDR_CAP];

/* -- what the process has ------------------------------------------------- */
static long count_entries(const char *path)
{
	DIR *dir = opendir(path);
	long n = 0;

	CHECK(NULL, dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static long count_mappings(void)
{
	char line[512];
	FILE *f = fopen("/proc/self/maps", "r");
	long n = 0;

	CHECK(NULL, f);
	while (fgets(line, sizeof(line), f))
		n++;
	fclose(f);
	return n;
}

static long resident_kb(void)
{
	char line[128];
	FILE *f = fopen("/proc/self/status", "r");
	long kb = 0;

	CHECK(NULL, f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %ld", &kb) == 1)
			break;
	fclose(f);
	return kb;
}

/* A thread that is over may be there for another moment. */
static struct use look(long threads)
{
	struct use u = {.threads = count_entries("/proc/self/task")};

	for (int i = 0; i < 1000 && u.threads > threads; i++) {
		usleep(5000);
		u.threads = count_entries("/proc/self/task");
	}
	u.descriptors = count_entries("/proc/self/fd");
	u.mappings = count_mappings();
	u.resident_kb = resident_kb();
	return u;
}

static void compare(const struct use *a, const struct use *b, int turns)
{
	fprintf(stderr,
		"descriptors %ld, %ld; threads %ld, %ld; mappings %ld, %ld; "
		"resident %ld, %ld KB\n",
		a->descriptors, b->descriptors, a->threads, b->threads,
		a->mappings, b->mappings, a->resident_kb, b->resident_kb);
	CHECK(NULL, b->descriptors <= a->descriptors);
	CHECK(NULL, b->threads <= a->threads);
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	(void)turns; /* they have mappings of their own */
#else
	CHECK(NULL, b->mappings < a->mappings + turns);
#endif
}

/* -- a turn --------------------------------------------------------------- */
static void talk(struct tsnet *from, struct tsnet *to, int listener,
		 const char *address)
{
	char peer[TSNET_ADDR_CAP];
	int a = -EHOSTUNREACH, b;

	/* until it has heard of the new one */
	for (int i = 0; a == -EHOSTUNREACH && i < UP_S * 100; i++) {
		a = tsnet_dial(from, "tcp", address, UP_S);
		if (a == -EHOSTUNREACH)
			usleep(10 * 1000);
	}
	CHECK(from, a >= 0);
	b = tsnet_accept(to, listener, peer, sizeof(peer));
	CHECK(to, b >= 0);
	says(a, b, "there");
	says(b, a, "and back");
	close(a);
	close(b);
}

static void turn(int base_listener, int n)
{
	char v4[TSNET_ADDR_CAP], v6[TSNET_ADDR_CAP], at[TSNET_ADDR_CAP + 8];
	struct tsnet *ts = new_server(n % 2 ? "odd" : "even", key);
	int listener;

	CHECK_CODE(ts, 0, tsnet_set(ts, "ephemeral", "yes"));
	CHECK_CODE(ts, 0, tsnet_set(ts, "state_dir", NULL));
	CHECK_CODE(ts, 0, tsnet_up(ts, UP_S));
	CHECK_CODE(ts, 0, tsnet_capture_pcap(ts, "/dev/null"));
	CHECK_CODE(ts, 0, tsnet_ips(ts, v4, v6, sizeof(v4)));
	listener = tsnet_listen(ts, "tcp", ":80");
	CHECK(ts, listener >= 0);
	snprintf(at, sizeof(at), "%s:80", v4);
	talk(base, ts, listener, at);
	talk(ts, base, base_listener, base_at);
	tsnet_close(ts);
	close(listener);
}

int main(int argc, char **argv)
{
	char v4[TSNET_ADDR_CAP], v6[TSNET_ADDR_CAP];
	struct use before, after;
	int listener, turns;
	long threads;

	if (argc < 4)
		return 2;
	url = argv[1];
	key = argv[2];
	turns = atoi(argv[3]);
	base = up("base");
	threads = count_entries("/proc/self/task");
	listener = tsnet_listen(base, "tcp", ":80");
	CHECK(base, listener >= 0);
	CHECK_CODE(base, 0, tsnet_ips(base, v4, v6, sizeof(v4)));
	snprintf(base_at, sizeof(base_at), "%.40s:80", v4);
	for (int i = 0; i < FIRST_TURNS; i++)
		turn(listener, i);
	before = look(threads);
	for (int i = 0; i < turns; i++)
		turn(listener, i);
	after = look(threads);
	compare(&before, &after, turns);
	tsnet_close(base);
	close(listener);
	puts("ok");
	return 0;
}
