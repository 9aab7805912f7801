/* SPDX-License-Identifier: BSD-3-Clause
 * lab_main.c - tsnet-lab: a small tailnet in one process, on one loop
 *
 * Control server, DERP and STUN on loopback, for the demo and for tests that
 * need no network. All state is in memory. Once every socket listens, one
 * line of JSON on standard output (and in the ready file) tells where.
 *
 * Once a turn, before the loop sleeps, map streams get what changed, the
 * connections write what the handlers queued, and commands that wait look
 * whether it is so by now. Closing a broken connection changes the state
 * again (its node goes offline), hence the repetition.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "tests/lab/lab.h"
#include "tests/lab/lab_command.h"
#include "tests/lab/lab_control.h"
#include "tests/lab/lab_derp.h"
#include "tests/lab/lab_map.h"
#include "tests/lab/lab_peer_relay.h"
#include "tests/lab/lab_ping.h"
#include "tests/lab/lab_register.h"
#include "tests/lab/lab_stun.h"
#include "tests/lab/lab_tka.h"
#include "tests/lab/lab_synthetic.h"

enum { FIRST_REGION = 900, SETTLE_ROUNDS_MAX = 8 };

static void before_sleep(void *ctx)
{
	struct lab *lab = ctx;
	uint64_t rev = 0;

	for (int i = 0; i < SETTLE_ROUNDS_MAX && rev != lab->state.rev; i++) {
		rev = lab->state.rev;
		lab_map_flush(lab->map);
		lab_control_pump(lab->control);
	}
	if (lab->command)
		lab_command_check(lab->command);
}

static void on_signal(void *ctx, int signo)
{
	struct lab *lab = ctx;

	(void)signo;
	ts_loop_stop(lab->loop);
}

static void on_stdin(void *ctx, unsigned events)
{
	struct lab *lab = ctx;
	char buf[256];
	ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));

	(void)events;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		ts_loop_stop(lab->loop);
}

/* -- start ---------------------------------------------------------------- */

static int open_region(struct lab *lab, unsigned i)
{
	struct ts_addr derp = lab->opt.derp_listen;
	struct ts_addr stun = lab->opt.stun_listen;
	int err;

	if (i) /* a given port is the first region's */
		derp.port = stun.port = 0;
	err = lab_derp_open(lab, &derp, &lab->derps[i]);
	if (!err && !lab->opt.no_stun)
		err = lab_stun_open(lab->loop, &stun, &lab->stuns[i]);
	return err;
}

static int open_parts(struct lab *lab)
{
	int err = lab_state_init(&lab->state, lab->opt.domain);

	if (!err)
		err = lab_tls_init(&lab->tls, lab->opt.tls_cert,
				   lab->opt.tls_key);
	if (!err && lab->opt.cert_out)
		err = lab_tls_write_cert(&lab->tls, lab->opt.cert_out);
	if (!err)
		err = lab_register_new(lab, &lab->registrar);
	if (!err)
		err = lab_map_new(lab, &lab->map);
	lab->tka = err ? NULL : lab_tka_new(lab);
	if (!err && !lab->tka)
		err = -ENOMEM;
	if (!err)
		err = lab_ping_new(lab, &lab->ping);
	for (unsigned i = 0; !err && i < lab->opt.regions; i++)
		err = open_region(lab, i);
	if (!err)
		err = lab_control_open(lab, &lab->control);
	if (!err && lab->opt.command_socket)
		err = lab_command_open(lab, lab->opt.command_socket,
				       &lab->command);
	return err;
}

static int hook_up(struct lab *lab)
{
	int err = ts_loop_before_sleep(lab->loop, before_sleep, lab);

	if (!err)
		err = ts_loop_on_signal(lab->loop, SIGTERM, on_signal, lab);
	if (!err)
		err = ts_loop_on_signal(lab->loop, SIGINT, on_signal, lab);
	if (!err && lab->opt.exit_with_stdin &&
	    !ts_watch_new(lab->loop, STDIN_FILENO, TS_READABLE, on_stdin, lab))
		err = -ENOMEM;
	return err;
}

static void close_parts(struct lab *lab)
{
	if (lab->command)
		lab_command_close(lab->command);
	if (lab->control)
		lab_control_close(lab->control);
	for (unsigned i = 0; i < LAB_REGIONS_MAX; i++) {
		lab_derp_close(lab->derps[i]);
		lab_stun_close(lab->stuns[i]);
	}
	lab_peer_relay_close(lab->peer_relay);
	lab_ping_free(lab->ping);
	lab_tka_free(lab->tka);
	lab_map_free(lab->map);
	lab_register_free(lab->registrar);
	lab_tls_deinit(&lab->tls);
	lab_state_deinit(&lab->state);
}

/* -- telling where -------------------------------------------------------- */

static json_t *region_ports(const struct lab *lab, unsigned i)
{
	return json_pack("{s:i, s:i, s:i}", "region",
			 lab->first_region + (int)i, "derp_port",
			 (int)lab_derp_port(lab->derps[i]), "stun_port",
			 lab->stuns[i] ? (int)lab_stun_port(lab->stuns[i]) : 0);
}

static char *ready_line(const struct lab *lab)
{
	char host[TS_IP_TEXT_CAP];
	json_t *regions = json_array();
	json_t *obj;
	char *text;

	ts_ip_format(&lab->opt.listen.ip, host);
	for (unsigned i = 0; i < lab->opt.regions; i++)
		json_array_append_new(regions, region_ports(lab, i));
	obj = json_pack("{s:o, s:i, s:i, s:i, s:o, s:s*}", "control_url",
			json_sprintf("http://%s:%u", host,
				     lab_control_port(lab->control)),
			"derp_port", (int)lab_derp_port(lab->derps[0]),
			"stun_port",
			lab->stuns[0] ? (int)lab_stun_port(lab->stuns[0]) : 0,
			"pid", (int)getpid(), "regions", regions,
			"command_socket", lab->opt.command_socket);
	if (obj && lab_control_tls_port(lab->control))
		json_object_set_new(
			obj, "control_tls_url",
			json_sprintf("https://localhost:%u",
				     lab_control_tls_port(lab->control)));
	text = obj ? json_dumps(obj, JSON_COMPACT) : NULL;
	json_decref(obj);
	return text;
}

/* Renamed into place, so that whoever sees the file can read all of it. */
static int write_ready_file(const char *path, const char *line)
{
	size_t cap = strlen(path) + sizeof(".tmp");
	char *tmp = malloc(cap);
	FILE *f = NULL;
	int err = -ENOMEM;

	if (tmp) {
		snprintf(tmp, cap, "%s.tmp", path);
		f = fopen(tmp, "we");
		err = f ? 0 : -errno;
	}
	if (f) {
		fprintf(f, "%s\n", line);
		err = fclose(f) || rename(tmp, path) ? -errno : 0;
	}
	free(tmp);
	return err;
}

static int tell_ready(const struct lab *lab)
{
	char *line = ready_line(lab);
	int err = line ? 0 : -ENOMEM;

	if (!err && lab->opt.ready_file)
		err = write_ready_file(lab->opt.ready_file, line);
	if (!err) {
		puts(line);
		fflush(stdout);
	}
	free(line);
	return err;
}

static int run(struct lab *lab)
{
	int err = ts_crypto_init();

	if (!err) {
		lab->loop = ts_loop_new();
		err = lab->loop ? 0 : -ENOMEM;
	}
	if (!err)
		err = open_parts(lab);
	if (!err)
		err = hook_up(lab);
	if (!err) {
		lab_synthetic_add(lab, lab->opt.peers);
		err = tell_ready(lab);
	}
	if (err)
		fprintf(stderr, "tsnet-lab: cannot start: %s\n",
			ts_strerror(err));
	else
		ts_loop_run(lab->loop);
	close_parts(lab);
	if (lab->loop)
		ts_loop_free(lab->loop);
	return err;
}

int main(int argc, char **argv)
{
	static struct lab lab;
	int err;

	if (argc >= 4 && !strcmp(argv[1], "--command"))
		return lab_command_send(argv[2], argc - 3, argv + 3);
	err = lab_options_parse(argc, argv, &lab.opt);
	if (err)
		return err == -ECANCELED ? 0 : 2;
	signal(SIGPIPE, SIG_IGN);
	lab.first_region = FIRST_REGION;
	return run(&lab) ? 1 : 0;
}
