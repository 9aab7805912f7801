/* SPDX-License-Identifier: BSD-3-Clause
 * flood_main.c - tsnet-flood: options, and so many a second
 *
 *     tsnet-flood keys FILE        makes a hostile node's keys; prints its two
 *                                  public ones
 *     tsnet-flood KIND to=ADDR node=KEY per_s=N seconds=N ...
 *
 * Prints one line of JSON: what was sent, and in what time.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/crypto/secret.h"
#include "tests/flood/flood.h"

enum { TICK_US = 1000, BEHIND = 10 };

static int make_keys(const char *path)
{
	struct flood_keys keys;
	struct ts_public_key node, disco;
	char node_text[TS_KEY_TEXT_CAP], disco_text[TS_KEY_TEXT_CAP];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool ok;

	ts_private_key_generate(&keys.node);
	ts_private_key_generate(&keys.disco);
	ts_public_key_from_private(&keys.node, &node);
	ts_public_key_from_private(&keys.disco, &disco);
	ok = fd >= 0 && write(fd, &keys, sizeof(keys)) == sizeof(keys);
	ts_wipe(&keys, sizeof(keys));
	if (fd >= 0)
		close(fd);
	if (!ok) {
		perror(path);
		return 1;
	}
	printf("{\"node\": \"%s\", \"disco\": \"%s\"}\n",
	       ts_public_key_format(&node, TS_PREFIX_NODE, node_text),
	       ts_public_key_format(&disco, TS_PREFIX_DISCO, disco_text));
	return 0;
}

static int read_keys(const char *path, struct flood_keys *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool ok = fd >= 0 && read(fd, out, sizeof(*out)) == sizeof(*out);

	if (fd >= 0)
		close(fd);
	return ok ? 0 : -1;
}

/* 0, or -1: not a value of this name. */
static int set_option(struct flood_options *opt, const char *name,
		      const char *value)
{
	if (!strcmp(name, "to"))
		return ts_addr_parse(value, &opt->to);
	if (!strcmp(name, "node"))
		return ts_public_key_parse(value, TS_PREFIX_NODE, &opt->node);
	if (!strcmp(name, "disco"))
		return ts_public_key_parse(value, TS_PREFIX_DISCO, &opt->disco);
	if (!strcmp(name, "known"))
		return ts_public_key_parse(value, TS_PREFIX_DISCO,
					   &opt->known_disco);
	if (!strcmp(name, "keys"))
		return read_keys(value, &opt->keys);
	if (!strcmp(name, "from"))
		return ts_ip_parse(value, &opt->from);
	if (!strcmp(name, "dst"))
		return ts_ip_parse(value, &opt->dst);
	if (!strcmp(name, "port"))
		opt->port = (uint16_t)atoi(value);
	else if (!strcmp(name, "local"))
		opt->local_port = (uint16_t)atoi(value);
	else if (!strcmp(name, "per_s"))
		opt->per_s = (unsigned)atoi(value);
	else if (!strcmp(name, "seconds"))
		opt->seconds = (unsigned)atoi(value);
	else
		return -1;
	return 0;
}

static int read_options(struct flood_options *opt, char **argv)
{
	opt->kind = *argv;
	while (*++argv) {
		char *value = strchr(*argv, '=');

		if (value)
			*value++ = '\0';
		if (!value || set_option(opt, *argv, value)) {
			fprintf(stderr, "tsnet-flood: not an option: %s\n",
				*argv);
			return -1;
		}
	}
	return 0;
}

/* -- so many a second ----------------------------------------------------- */

struct source {
	struct flood_port *port;
	struct flood_peer *peer; /* NULL: a stranger */
	struct flood_stranger stranger;
	flood_make_fn make;
};

static void send_one(struct source *from)
{
	if (from->peer)
		flood_peer_send_one(from->peer);
	else
		flood_port_add(from->port,
			       from->make(&from->stranger,
					  flood_port_room(from->port)),
			       true);
}

static void sleep_until(uint64_t at_us)
{
	struct timespec t = {.tv_sec = (time_t)(at_us / 1000000),
			     .tv_nsec = (long)(at_us % 1000000 * 1000)};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void flood(const struct flood_options *opt, struct source *from)
{
	uint64_t start_us = flood_now_us(), now_us = start_us, made = 0;
	uint64_t end_us = start_us + opt->seconds * 1000000ull, first;

	first = flood_port_sent(from->port);
	while (now_us < end_us) {
		uint64_t due = (now_us - start_us) * opt->per_s / 1000000;

		/* What could not be made in time is not made up for. */
		if (due > made + opt->per_s / BEHIND)
			made = due - opt->per_s / BEHIND;
		for (; made < due; made++)
			send_one(from);
		flood_port_flush(from->port);
		sleep_until(now_us + TICK_US);
		now_us = flood_now_us();
	}
	printf("{\"kind\": \"%s\", \"sent\": %llu, \"ms\": %llu}\n", opt->kind,
	       (unsigned long long)(flood_port_sent(from->port) - first),
	       (unsigned long long)(now_us - start_us) / 1000);
}

static int run(const struct flood_options *opt)
{
	struct source from = {.make = flood_stranger_kind(opt->kind)};
	const char *err = NULL;

	from.port = flood_port_open(opt->local_port, &opt->to);
	if (!from.port) {
		perror("tsnet-flood: socket");
		return 1;
	}
	flood_stranger_init(&from.stranger, opt);
	if (flood_peer_is_kind(opt->kind))
		from.peer = flood_peer_open(opt, from.port, &err);
	else if (!from.make)
		err = "no such kind";
	if (err)
		fprintf(stderr, "tsnet-flood: %s: %s\n", opt->kind, err);
	else
		flood(opt, &from);
	if (from.peer)
		flood_peer_close(from.peer);
	flood_port_close(from.port);
	return err ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct flood_options opt = {.per_s = 20000, .seconds = 2};

	if (ts_crypto_init())
		return 1;
	if (argc == 3 && !strcmp(argv[1], "keys"))
		return make_keys(argv[2]);
	if (argc < 2 || read_options(&opt, argv + 1))
		return 2;
	return run(&opt);
}
