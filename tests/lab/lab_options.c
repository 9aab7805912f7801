/* SPDX-License-Identifier: BSD-3-Clause
 * lab_options.c - the command line of tsnet-lab
 */
#include "tests/lab/lab_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"

enum {
	OPT_LISTEN = 256,
	OPT_TLS_LISTEN,
	OPT_TLS_CERT,
	OPT_TLS_KEY,
	OPT_DERP_LISTEN,
	OPT_STUN,
	OPT_NO_STUN,
	OPT_AUTHKEY,
	OPT_DOMAIN,
	OPT_PEERS,
	OPT_REGIONS,
	OPT_DERP_TLS,
	OPT_NO_DERP_TLS,
	OPT_DERP_FAST_START,
	OPT_DERP_VERIFY,
	OPT_DERP_PIN,
	OPT_COMMAND_SOCKET,
	OPT_READY_FILE,
	OPT_CERT_OUT,
	OPT_INTERACTIVE,
	OPT_EXIT_WITH_STDIN,
	OPT_EPHEMERAL_TIMEOUT,
	OPT_LOG,
	OPT_HELP,
	PEERS_MAX = 100000,
};

static const struct option LONG_OPTIONS[] = {
	{"listen", required_argument, NULL, OPT_LISTEN},
	{"tls-listen", required_argument, NULL, OPT_TLS_LISTEN},
	{"tls-cert", required_argument, NULL, OPT_TLS_CERT},
	{"tls-key", required_argument, NULL, OPT_TLS_KEY},
	{"derp-listen", required_argument, NULL, OPT_DERP_LISTEN},
	{"stun", required_argument, NULL, OPT_STUN},
	{"no-stun", no_argument, NULL, OPT_NO_STUN},
	{"authkey", required_argument, NULL, OPT_AUTHKEY},
	{"domain", required_argument, NULL, OPT_DOMAIN},
	{"peers", required_argument, NULL, OPT_PEERS},
	{"regions", required_argument, NULL, OPT_REGIONS},
	{"derp-tls", no_argument, NULL, OPT_DERP_TLS},
	{"no-derp-tls", no_argument, NULL, OPT_NO_DERP_TLS},
	{"derp-fast-start", no_argument, NULL, OPT_DERP_FAST_START},
	{"derp-verify", no_argument, NULL, OPT_DERP_VERIFY},
	{"derp-pin", no_argument, NULL, OPT_DERP_PIN},
	{"command-socket", required_argument, NULL, OPT_COMMAND_SOCKET},
	{"ready-file", required_argument, NULL, OPT_READY_FILE},
	{"cert-out", required_argument, NULL, OPT_CERT_OUT},
	{"interactive", no_argument, NULL, OPT_INTERACTIVE},
	{"exit-with-stdin", no_argument, NULL, OPT_EXIT_WITH_STDIN},
	{"ephemeral-timeout-ms", required_argument, NULL,
	 OPT_EPHEMERAL_TIMEOUT},
	{"log", required_argument, NULL, OPT_LOG},
	{"help", no_argument, NULL, OPT_HELP},
	{0},
};

static const char USAGE[] =
	"tsnet-lab - a small tailnet on loopback: control, DERP, STUN\n"
	"  --listen ADDR:PORT       control over HTTP (127.0.0.1:0: any port)\n"
	"  --tls-listen ADDR:PORT   control over HTTPS as well\n"
	"  --tls-cert/--tls-key F   PEM files instead of a generated pair\n"
	"  --derp-listen ADDR:PORT  DERP (further regions: any port)\n"
	"  --derp-fast-start        send DERP's meta certificate\n"
	"  --derp-verify            clients must trust the certificate\n"
	"  --derp-pin               clients must check its SHA-256\n"
	"  --no-derp-tls            DERP in clear; upstream clients cannot\n"
	"  --regions N              DERP regions 900..900+N-1 (1)\n"
	"  --stun ADDR:PORT         STUN; --no-stun: none\n"
	"  --authkey KEY[,reusable|once|expired|ephemeral|unapproved|tag:X|\n"
	"                           user=WHO]\n"
	"                           may be repeated; reusable by default;\n"
	"                           without any, everybody is let in\n"
	"  --interactive            logins wait for the command 'approve'\n"
	"  --ephemeral-timeout-ms N delete offline ephemeral nodes (60000)\n"
	"  --domain NAME            MagicDNS domain (lab.ts.net)\n"
	"  --peers N                synthetic peers\n"
	"  --command-socket PATH    take commands; 'help' lists them\n"
	"  --ready-file PATH        the line of JSON that stdout gets, too\n"
	"  --cert-out PATH          the certificate, for SSL_CERT_FILE\n"
	"  --exit-with-stdin        end when standard input closes\n"
	"  --log LEVEL              error, warn, info or debug\n"
	"tsnet-lab --command PATH COMMAND [ARGUMENT]...  send one command\n";

static int parse_addr(const char *text, struct ts_addr *out)
{
	if (!ts_addr_parse(text, out))
		return 0;
	fprintf(stderr, "tsnet-lab: not an address and port: %s\n", text);
	return -EINVAL;
}

static int parse_number(const char *text, unsigned long max, unsigned long *out)
{
	char *end;

	errno = 0;
	*out = strtoul(text, &end, 10);
	if (!errno && *text >= '0' && *text <= '9' && !*end && *out <= max)
		return 0;
	fprintf(stderr, "tsnet-lab: not a number up to %lu: %s\n", max, text);
	return -EINVAL;
}

static int add_auth_key(struct lab_options *opt, const char *text)
{
	if (opt->auth_key_count == LAB_AUTH_KEYS_MAX) {
		fprintf(stderr, "tsnet-lab: more than %d auth keys\n",
			LAB_AUTH_KEYS_MAX);
		return -EINVAL;
	}
	opt->auth_keys[opt->auth_key_count++] = text;
	return 0;
}

static int set_log_level(const char *text)
{
	enum ts_log_level level;

	if (ts_log_parse_level(text, &level)) {
		fprintf(stderr, "tsnet-lab: unknown log level: %s\n", text);
		return -EINVAL;
	}
	ts_log_set_level(level);
	return 0;
}

static int take_number(struct lab_options *opt, int code, const char *text)
{
	unsigned long n;
	int err;

	switch (code) {
	case OPT_PEERS:
		err = parse_number(text, PEERS_MAX, &n);
		opt->peers = (unsigned)n;
		return err;
	case OPT_REGIONS:
		err = parse_number(text, LAB_REGIONS_MAX, &n);
		opt->regions = n ? (unsigned)n : 1;
		return err;
	default:
		err = parse_number(text, UINT32_MAX, &n);
		opt->ephemeral_timeout_ms = n;
		return err;
	}
}

static int take_option(struct lab_options *opt, int code, const char *text)
{
	switch (code) {
	case OPT_LISTEN:
		return parse_addr(text, &opt->listen);
	case OPT_TLS_LISTEN:
		opt->has_tls_listen = true;
		return parse_addr(text, &opt->tls_listen);
	case OPT_DERP_LISTEN:
		return parse_addr(text, &opt->derp_listen);
	case OPT_STUN:
		return parse_addr(text, &opt->stun_listen);
	case OPT_AUTHKEY:
		return add_auth_key(opt, text);
	case OPT_PEERS:
	case OPT_REGIONS:
	case OPT_EPHEMERAL_TIMEOUT:
		return take_number(opt, code, text);
	case OPT_LOG:
		return set_log_level(text);
	case OPT_TLS_CERT:
		opt->tls_cert = text;
		break;
	case OPT_TLS_KEY:
		opt->tls_key = text;
		break;
	case OPT_DOMAIN:
		opt->domain = text;
		break;
	case OPT_COMMAND_SOCKET:
		opt->command_socket = text;
		break;
	case OPT_READY_FILE:
		opt->ready_file = text;
		break;
	case OPT_CERT_OUT:
		opt->cert_out = text;
		break;
	case OPT_NO_STUN:
		opt->no_stun = true;
		break;
	case OPT_DERP_TLS:
	case OPT_NO_DERP_TLS:
		opt->no_derp_tls = code == OPT_NO_DERP_TLS;
		break;
	case OPT_DERP_FAST_START:
		opt->derp_fast_start = true;
		break;
	case OPT_DERP_VERIFY:
		opt->derp_verify = true;
		break;
	case OPT_DERP_PIN:
		opt->derp_pin = true;
		break;
	case OPT_INTERACTIVE:
		opt->interactive = true;
		break;
	case OPT_EXIT_WITH_STDIN:
		opt->exit_with_stdin = true;
		break;
	case OPT_HELP:
		fputs(USAGE, stdout);
		return -ECANCELED;
	default:
		return -EINVAL; /* getopt has told what is wrong */
	}
	return 0;
}

int lab_options_parse(int argc, char **argv, struct lab_options *out)
{
	int code, err = 0;

	*out = (struct lab_options){.domain = "lab.ts.net",
				    .regions = 1,
				    .ephemeral_timeout_ms = 60000};
	ts_addr_parse("127.0.0.1:0", &out->listen);
	out->derp_listen = out->stun_listen = out->listen;
	while (!err &&
	       (code = getopt_long(argc, argv, "", LONG_OPTIONS, NULL)) != -1)
		err = take_option(out, code, optarg);
	if (!err && optind < argc) {
		fprintf(stderr, "tsnet-lab: what is '%s'?\n", argv[optind]);
		err = -EINVAL;
	}
	if (!err && !out->tls_cert != !out->tls_key) {
		fprintf(stderr, "tsnet-lab: --tls-cert needs --tls-key\n");
		err = -EINVAL;
	}
	return err;
}
