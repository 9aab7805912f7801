/* SPDX-License-Identifier: BSD-3-Clause
 * test_alone.c - LD_PRELOAD without a host: what must not change, and what
 * starts one
 *
 * libtsnet.so is played by a library of ten lines, which is compiled here and
 * names the fake host's broker. It lies beside a copy of the shim, as the real
 * one does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <dlfcn.h>
#include <netdb.h>

#include "unit/shim/fake_host.inc"
#include "unit/shim/program.inc"

static const char FAKE_LIBRARY[] =
	"#define _GNU_SOURCE\n"
	"#include <arpa/inet.h>\n"
	"#include <stdio.h>\n"
	"#include <stdlib.h>\n"
	"#include <sys/socket.h>\n"
	"#include <unistd.h>\n"
	"int tsnet_shim_host_start(char *path, size_t path_cap, char *name,\n"
	"  size_t name_cap, char *err, size_t err_cap) {\n"
	"  struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = 1};\n"
	"  const char *broker = getenv(\"FAKE_BROKER\");\n"
	"  FILE *log = fopen(getenv(\"FAKE_LOG\"), \"a\");\n"
	"  fputs(\"start\\n\", log); fclose(log);\n"
	"  inet_pton(AF_INET, \"100.64.0.1\", &in.sin_addr);\n"
	"  /* would come back into the shim, and never end */\n"
	"  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);\n"
	"  connect(fd, (void *)&in, sizeof(in));\n"
	"  close(fd);\n"
	"  if (!broker) { snprintf(err, err_cap, \"no key\"); return -22; }\n"
	"  snprintf(path, path_cap, \"%s\", broker);\n"
	"  snprintf(name, name_cap, \"%s\", \"\");\n"
	"  return 0;\n"
	"}\n";

static char log_path[4096], fake_log[4200], alone_dir[4096];

/* -- the programs --------------------------------------------------------- */

static size_t count_entries(const char *path)
{
	DIR *dir = opendir(path);
	size_t n = 0;

	CHECK(dir != NULL);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void sock_addr(const char *ip, uint16_t port, struct sockaddr_in *in)
{
	memset(in, 0, sizeof(*in));
	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	CHECK(inet_pton(AF_INET, ip, &in->sin_addr) == 1);
}

static int call_connect(int fd, const char *ip, uint16_t port)
{
	struct sockaddr_in in;

	sock_addr(ip, port, &in);
	return connect(fd, (struct sockaddr *)&in, sizeof(in));
}

static int tcp(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	return fd;
}

static bool is_mapped(const char *what)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[4096];
	bool is_there = false;

	CHECK(maps != NULL);
	while (fgets(line, sizeof(line), maps))
		is_there |= strstr(line, what) != NULL;
	fclose(maps);
	return is_there;
}

static void nothing_was_done(void)
{
	CHECK(count_entries("/proc/self/fd") == 2 + 3 + 1); /* and the DIR */
	CHECK(count_entries("/proc/self/task") ==
	      (size_t)atoi(getenv("BARE_TASKS")));
	CHECK(!is_mapped("libtsnet.so"));
	CHECK(!is_mapped("tsnet-table"));
}

static void idle_program_has_nothing_of_ours(void)
{
	nothing_was_done();
}

static void local_server_starts_no_node(void)
{
	struct sockaddr_in in, peer;
	socklen_t len = sizeof(in), peer_len = sizeof(peer);
	int listener = tcp(), fd = tcp(), accepted;

	sock_addr("0.0.0.0", 0, &in);
	CHECK(bind(listener, (struct sockaddr *)&in, sizeof(in)) == 0);
	CHECK(listen(listener, 5) == 0);
	CHECK(getsockname(listener, (struct sockaddr *)&in, &len) == 0);
	CHECK(call_connect(fd, "127.0.0.1", ntohs(in.sin_port)) == 0);
	accepted = accept(listener, (struct sockaddr *)&peer, &peer_len);
	CHECK(accepted >= 0 && peer.sin_addr.s_addr == htonl(0x7f000001));
	CHECK(call_connect(fd, "127.0.0.1", ntohs(in.sin_port)) == -1);
	CHECK(errno == EISCONN);
	close(accepted);
	close(fd);
	close(listener);
	nothing_was_done();
}

typedef int (*getaddrinfo_fn)(const char *, const char *,
			      const struct addrinfo *, struct addrinfo **);

static bool is_same_list(const struct addrinfo *a, const struct addrinfo *b)
{
	for (; a && b; a = a->ai_next, b = b->ai_next) {
		const char *name_a = a->ai_canonname ? a->ai_canonname : "-";
		const char *name_b = b->ai_canonname ? b->ai_canonname : "-";

		if (a->ai_flags != b->ai_flags ||
		    a->ai_family != b->ai_family ||
		    a->ai_socktype != b->ai_socktype ||
		    a->ai_protocol != b->ai_protocol ||
		    a->ai_addrlen != b->ai_addrlen ||
		    memcmp(a->ai_addr, b->ai_addr, a->ai_addrlen) != 0 ||
		    strcmp(name_a, name_b) != 0)
			return false;
	}
	return !a && !b;
}

static void compare_lookup(getaddrinfo_fn libc_says, const char *host,
			   const char *service, const struct addrinfo *hints)
{
	struct addrinfo *ours = NULL, *libcs = NULL;
	int our_err = getaddrinfo(host, service, hints, &ours);
	int libc_err = libc_says(host, service, hints, &libcs);

	if (our_err != libc_err)
		fprintf(stderr, "%s %s: %d, libc says %d\n", host ? host : "-",
			service ? service : "-", our_err, libc_err);
	CHECK(our_err == libc_err);
	if (our_err)
		return;
	CHECK(is_same_list(ours, libcs));
	freeaddrinfo(ours);
	freeaddrinfo(libcs);
}

/* Everything that is not the tailnet's, and some that is not even a name. */
static void odd_lookups_are_libcs(void)
{
	static const char *const hosts[] = {
		NULL,	     "",	  "127.0.0.1",	  "127.1",
		"0x7f.1",    "2130706433", "::1",	  "::ffff:100.64.0.1",
		"100.64.0.1", "fe80::1%lo", "fe80::1%nolo", "[::1]",
		"localhost", "LOCALHOST", "localhost.",	  "ip6-localhost",
		"a..b",	     ".",	  "-",		  "1.2.3.4.5",
		"256.1.1.1", "100.64.0.1.", " ", "fd7a:115c:a1e0::1",
	};
	static const char *const services[] = {NULL, "80", "http", "nope",
					       "65536", "-1", ""};
	static const int flags[] = {0,
				    AI_PASSIVE,
				    AI_NUMERICHOST,
				    AI_CANONNAME,
				    AI_NUMERICSERV | AI_NUMERICHOST,
				    AI_V4MAPPED | AI_ALL | AI_NUMERICHOST,
				    AI_ADDRCONFIG | AI_NUMERICHOST,
				    1 << 20};
	static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6, AF_UNIX};
	getaddrinfo_fn libc_says = (getaddrinfo_fn)(uintptr_t)dlsym(
		dlopen("libc.so.6", RTLD_NOW), "getaddrinfo");

	CHECK(libc_says && libc_says != getaddrinfo);
	for (size_t h = 0; h < sizeof(hosts) / sizeof(*hosts); h++)
		for (size_t s = 0; s < sizeof(services) / sizeof(*services);
		     s++) {
			compare_lookup(libc_says, hosts[h], services[s], NULL);
			for (size_t i = 0; i < 8 * 4; i++) {
				struct addrinfo hints = {
					.ai_flags = flags[i % 8],
					.ai_family = families[i / 8],
					.ai_socktype = s % 2 ? SOCK_STREAM
							     : 0};

				compare_lookup(libc_says, hosts[h],
					       services[s], &hints);
			}
		}
	nothing_was_done();
}

static void missing_library_is_enetdown(void)
{
	CHECK(call_connect(tcp(), "100.64.0.1", 7) == -1);
	CHECK(errno == ENETDOWN);
	CHECK(call_connect(tcp(), "127.0.0.1", 1) == -1);
	CHECK(errno == ECONNREFUSED);
}

static void check_echo(int fd)
{
	char buf[4];

	CHECK(write(fd, "ping", 4) == 4 && read(fd, buf, 4) == 4);
}

static void first_connect_starts_one_host(void)
{
	int fd, status;
	pid_t pid;

	nothing_was_done();
	fd = tcp();
	CHECK(call_connect(fd, "100.64.0.1", FAKE_ECHO) == 0);
	check_echo(fd);
	fd = tcp();
	CHECK(call_connect(fd, "100.64.0.1", FAKE_ECHO) == 0);
	check_echo(fd);
	pid = fork();
	if (pid == 0) {
		fd = tcp();
		CHECK(call_connect(fd, "100.64.0.1", FAKE_ECHO) == 0);
		check_echo(fd);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void tailnet_name_starts_a_host(void)
{
	struct addrinfo *list;

	CHECK(getaddrinfo("nx." FAKE_SUFFIX, NULL, NULL, &list) == EAI_NONAME);
	CHECK(getaddrinfo("peer." FAKE_SUFFIX, NULL, NULL, &list) == 0);
	freeaddrinfo(list);
}

static void configured_server_starts_a_host(void)
{
	struct sockaddr_in in, peer;
	socklen_t len = sizeof(peer);
	int listener = tcp();

	sock_addr("0.0.0.0", FAKE_LISTEN, &in);
	CHECK(bind(listener, (struct sockaddr *)&in, sizeof(in)) == 0);
	CHECK(listen(listener, 5) == 0);
	CHECK(accept(listener, (struct sockaddr *)&peer, &len) >= 0);
	CHECK(peer.sin_addr.s_addr == inet_addr("100.64.0.9"));
}

static void dead_host_is_replaced(void)
{
	int fd = tcp();

	CHECK(call_connect(fd, "100.64.0.1", FAKE_ECHO) == 0);
	check_echo(fd);
	CHECK(kill((pid_t)atoi(getenv("FAKE_FIRST_PID")), SIGKILL) == 0);
	while (send(fd, "x", 1, MSG_NOSIGNAL) == 1) /* until it has closed */
		usleep(1000);
	CHECK(setenv("FAKE_BROKER", getenv("FAKE_SECOND_BROKER"), 1) == 0);
	fd = tcp();
	CHECK(call_connect(fd, "100.64.0.1", FAKE_ECHO) == 0);
	check_echo(fd);
}

/* Headscale's suffix may be any; the node knows it, when it is up. */
static void dotted_name_asks_the_node_last(void)
{
	struct addrinfo *list;

	(void)getaddrinfo("localhost.localdomain", NULL, NULL, &list);
	nothing_was_done();
	CHECK(getaddrinfo("peer." FAKE_OTHER_SUFFIX, NULL, NULL, &list) == 0);
	freeaddrinfo(list);
}

static void dotted_name_asks_the_node_last_in_older_calls(void)
{
	CHECK(gethostbyname("peer." FAKE_OTHER_SUFFIX) != NULL);
}

static void dotted_name_is_libcs(void)
{
	struct addrinfo *list;

	CHECK(getaddrinfo("peer." FAKE_OTHER_SUFFIX, NULL, NULL, &list) != 0);
	nothing_was_done();
}

static int listening_at(const char *ip, uint16_t port)
{
	struct sockaddr_in in;
	int fd = tcp();

	sock_addr(ip, port, &in);
	CHECK(bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0);
	CHECK(listen(fd, 5) == 0);
	return fd;
}

/* Until one from the tailnet came: a server that polls. */
static void accept_from_the_tailnet(int fd)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	int conn = -1;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (int i = 0; conn < 0 && i < 500; i++) {
		conn = accept(fd, (struct sockaddr *)&peer, &len);
		if (conn < 0)
			usleep(10000);
	}
	CHECK(conn >= 0);
	CHECK(peer.sin_addr.s_addr == inet_addr("100.64.0.9"));
}

/* It makes no request but accept(). */
static void keep_serving(int fd)
{
	accept_from_the_tailnet(fd);
	CHECK(kill((pid_t)atoi(getenv("FAKE_FIRST_PID")), SIGKILL) == 0);
	CHECK(setenv("FAKE_BROKER", getenv("FAKE_SECOND_BROKER"), 1) == 0);
	accept_from_the_tailnet(fd);
}

static void listener_moves_to_a_new_host(void)
{
	keep_serving(listening_at("0.0.0.0", FAKE_LISTEN));
}

static void own_address_moves_to_a_new_host(void)
{
	int fd = listening_at(FAKE_OWN, FAKE_LISTEN);
	struct sockaddr_in name;
	socklen_t len = sizeof(name);

	keep_serving(fd);
	CHECK(getsockname(fd, (struct sockaddr *)&name, &len) == 0);
	CHECK(name.sin_addr.s_addr == inet_addr(FAKE_OWN));
}

/* Another process was faster, and answers at the same path. */
static void stale_table_is_replaced(void)
{
	int fd = tcp();

	CHECK(call_connect(fd, "100.64.0.1", FAKE_ECHO) == 0);
	CHECK(kill((pid_t)atoi(getenv("FAKE_FIRST_PID")), SIGKILL) == 0);
	while (send(fd, "x", 1, MSG_NOSIGNAL) == 1) /* until it has closed */
		usleep(1000);
	CHECK(rename(getenv("FAKE_SECOND_BROKER"), getenv("FAKE_BROKER")) ==
	      0);
	fd = tcp();
	CHECK(call_connect(fd, "100.64.0.1", FAKE_ECHO) == 0);
	check_echo(fd);
}

/* -- the tests ------------------------------------------------------------ */

static const struct program programs[] = {
	{"idle_program_has_nothing_of_ours", idle_program_has_nothing_of_ours},
	{"local_server_starts_no_node", local_server_starts_no_node},
	{"odd_lookups_are_libcs", odd_lookups_are_libcs},
	{"missing_library_is_enetdown", missing_library_is_enetdown},
	{"first_connect_starts_one_host", first_connect_starts_one_host},
	{"tailnet_name_starts_a_host", tailnet_name_starts_a_host},
	{"configured_server_starts_a_host", configured_server_starts_a_host},
	{"dead_host_is_replaced", dead_host_is_replaced},
	{"dotted_name_asks_the_node_last", dotted_name_asks_the_node_last},
	{"dotted_name_asks_the_node_last_in_older_calls",
	 dotted_name_asks_the_node_last_in_older_calls},
	{"dotted_name_is_libcs", dotted_name_is_libcs},
	{"listener_moves_to_a_new_host", listener_moves_to_a_new_host},
	{"own_address_moves_to_a_new_host", own_address_moves_to_a_new_host},
	{"stale_table_is_replaced", stale_table_is_replaced},
	{NULL, NULL},
};

static char errors[8192];

static void run(const char *name, const char *const *env)
{
	int status = run_program(name, env, errors, sizeof(errors));

	if (status != 0)
		print_message("%s: exit status %d\n%s", name, status, errors);
	assert_int_equal(status, 0);
}

static void run_silently(const char *name)
{
	run(name, NULL);
	assert_string_equal(errors, "");
}

static void test_idle_program_has_nothing_of_ours(void **state)
{
	(void)state;
	run_silently("idle_program_has_nothing_of_ours");
}

static void test_local_server_starts_no_node(void **state)
{
	(void)state;
	run_silently("local_server_starts_no_node");
}

static void test_odd_lookups_are_libcs(void **state)
{
	(void)state;
#ifndef __GLIBC__
	skip(); /* musl asks name servers for most of them, in vain here */
#endif
	run_silently("odd_lookups_are_libcs");
}

static void test_missing_library_is_enetdown(void **state)
{
	(void)state;
	run("missing_library_is_enetdown", NULL);
	assert_non_null(strstr(errors, "cannot load libtsnet.so"));
	assert_null(strchr(strchr(errors, '\n') + 1, '\n')); /* one line */
}

static int make_library(void)
{
	char command[4400];
	FILE *cc;

	snprintf(command, sizeof(command),
		 TEST_CC " -shared -fPIC -w -o %s/libtsnet.so -x c -",
		 alone_dir);
	cc = popen(command, "w");
	if (!cc)
		return -1;
	fputs(FAKE_LIBRARY, cc);
	return pclose(cc) == 0 ? 0 : -1;
}

static int count_starts(void)
{
	FILE *log = fopen(log_path, "re");
	int n = 0, c;

	while (log && (c = fgetc(log)) != EOF)
		n += c == '\n';
	if (log)
		fclose(log);
	return n;
}

static void run_with_library(const char *name, const char *extra, int starts)
{
	char broker[256];
	const char *env[] = {broker, fake_log, extra, NULL};
	struct fake_host host;
	int status;

	unlink(log_path);
	if (make_library() != 0)
		skip(); /* no compiler here */
	enter_own_network(); /* no ports left from the test before */
	assert_int_equal(fake_host_start(&host, work_dir, TS_LISTEN_BOTH), 0);
	snprintf(broker, sizeof(broker), "FAKE_BROKER=%s", host.path);
	status = run_program(name, env, errors, sizeof(errors));
	fake_host_stop(&host);
	if (status != 0)
		print_message("%s: exit status %d\n%s", name, status, errors);
	assert_int_equal(status, 0);
	assert_string_equal(errors, "");
	assert_int_equal(count_starts(), starts);
}

static void test_first_connect_starts_one_host(void **state)
{
	(void)state;
	run_with_library("first_connect_starts_one_host", NULL, 1);
}

static void test_tailnet_name_starts_a_host(void **state)
{
	(void)state;
	run_with_library("tailnet_name_starts_a_host",
			 "TSNET_SUFFIX=" FAKE_SUFFIX, 1);
}

static void test_configured_server_starts_a_host(void **state)
{
	(void)state;
	run_with_library("configured_server_starts_a_host", "TS_AUTHKEY=x", 1);
}

static void test_unconfigured_server_starts_none(void **state)
{
	(void)state;
	run_with_library("local_server_starts_no_node", NULL, 0);
}

static void test_failing_host_is_enetdown_and_a_line(void **state)
{
	const char *env[] = {fake_log, NULL};

	(void)state;
	if (make_library() != 0)
		skip();
	run("missing_library_is_enetdown", env);
	assert_string_equal(errors,
			    "tsnet: no tailnet in this program: no key\n");
}

static void test_dotted_name_asks_the_node_last(void **state)
{
	(void)state;
	run_with_library("dotted_name_asks_the_node_last", "TS_AUTHKEY=x", 1);
	run_with_library("dotted_name_asks_the_node_last_in_older_calls",
			 "TS_AUTHKEY=x", 1);
}

static void test_dotted_name_is_libcs(void **state)
{
	(void)state;
	run_with_library("dotted_name_is_libcs", NULL, 0);
}

/* A second host takes over from the first. */
static void run_with_two_hosts(const char *name,
			       enum ts_listen_mode second_mode, int starts)
{
	char first[256], second[256], pid[64];
	const char *env[] = {first, second, pid, fake_log, "TS_AUTHKEY=x",
			     NULL};
	struct fake_host hosts[2];
	int status;

	unlink(log_path);
	if (make_library() != 0)
		skip();
	enter_own_network();
	for (int i = 0; i < 2; i++)
		assert_int_equal(fake_host_start(&hosts[i], work_dir,
						 i ? second_mode
						   : TS_LISTEN_BOTH),
				 0);
	snprintf(first, sizeof(first), "FAKE_BROKER=%s", hosts[0].path);
	snprintf(second, sizeof(second), "FAKE_SECOND_BROKER=%s",
		 hosts[1].path);
	snprintf(pid, sizeof(pid), "FAKE_FIRST_PID=%d", (int)hosts[0].pid);
	status = run_program(name, env, errors, sizeof(errors));
	for (int i = 0; i < 2; i++)
		fake_host_stop(&hosts[i]);
	if (status != 0)
		print_message("exit status %d\n%s", status, errors);
	assert_int_equal(status, 0);
	assert_string_equal(errors, "");
	assert_int_equal(count_starts(), starts);
}

static void test_dead_host_is_replaced(void **state)
{
	(void)state;
	run_with_two_hosts("dead_host_is_replaced", TS_LISTEN_HOST, 2);
}

static void test_listeners_move_to_a_new_host(void **state)
{
	(void)state;
	run_with_two_hosts("listener_moves_to_a_new_host", TS_LISTEN_TAILNET,
			   2);
	run_with_two_hosts("own_address_moves_to_a_new_host",
			   TS_LISTEN_TAILNET, 2);
}

static void test_stale_table_is_replaced(void **state)
{
	(void)state;
	run_with_two_hosts("stale_table_is_replaced", TS_LISTEN_HOST, 1);
}

/* Without the shim: the test itself, at its start. An emulator adds its own. */
static void count_bare_tasks(void)
{
	char text[16];

	snprintf(text, sizeof(text), "%zu", count_entries("/proc/self/task"));
	setenv("BARE_TASKS", text, 1);
}

/* Beside the copy there is only what a test puts there. */
static void copy_shim(void)
{
	char command[9000];

	snprintf(alone_dir, sizeof(alone_dir), "%s", work_dir);
	snprintf(log_path, sizeof(log_path), "%s/starts", work_dir);
	snprintf(fake_log, sizeof(fake_log), "FAKE_LOG=%s", log_path);
	snprintf(command, sizeof(command), "cp '%s' '%s/'", shim_path,
		 alone_dir);
	if (system(command) != 0)
		abort();
	snprintf(shim_path, sizeof(shim_path), "%s/libtsnet_shim.so",
		 work_dir);
}

static void remove_files(void)
{
	static const char *const names[] = {"libtsnet_shim.so", "libtsnet.so",
					    "starts"};
	char path[4200];

	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", work_dir, names[i]);
		unlink(path);
	}
	rmdir(work_dir);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle_program_has_nothing_of_ours),
		cmocka_unit_test(test_local_server_starts_no_node),
		cmocka_unit_test(test_odd_lookups_are_libcs),
		cmocka_unit_test(test_missing_library_is_enetdown),
		cmocka_unit_test(test_first_connect_starts_one_host),
		cmocka_unit_test(test_tailnet_name_starts_a_host),
		cmocka_unit_test(test_configured_server_starts_a_host),
		cmocka_unit_test(test_unconfigured_server_starts_none),
		cmocka_unit_test(test_failing_host_is_enetdown_and_a_line),
		cmocka_unit_test(test_dead_host_is_replaced),
		cmocka_unit_test(test_dotted_name_asks_the_node_last),
		cmocka_unit_test(test_dotted_name_is_libcs),
		cmocka_unit_test(test_listeners_move_to_a_new_host),
		cmocka_unit_test(test_stale_table_is_replaced),
	};
	int failed;

	be_program(argc, argv, programs);
	count_bare_tasks();
	find_shim();
	enter_own_network();
	if (!mkdtemp(work_dir))
		abort();
	copy_shim();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	remove_files();
	return failed;
}
