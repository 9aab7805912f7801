/* SPDX-License-Identifier: BSD-3-Clause
 * test_broker.c - who may ask, slow and hostile clients, names
 */
#include "far_end.h"

#include <sys/stat.h>

#include "unit/other_uids.h"

static const struct ts_broker_request attach = {.type = TS_BROKER_ATTACH};

static void attach_gives_the_table(void **state)
{
	struct fixture f;
	struct ts_broker_reply rep;
	struct ts_table_info info;
	const struct ts_table_layout *table;
	int table_fd, err;
	int fd;

	(void)state;
	open_fixture(&f);
	fd = broker_connect(f.abstract_name);
	send_request(fd, &attach, -1);
	assert_true(receive_reply(fd, &rep, &table_fd) > 0);
	assert_int_equal(rep.error, 0);
	assert_true(table_fd >= 0);
	table = ts_table_map(table_fd, &err);
	assert_non_null(table);
	assert_true(ts_table_read_info(table, &info));
	assert_memory_equal(info.token, f.info.token, sizeof(info.token));
	/* One request, then the end. */
	assert_int_equal(receive_reply(fd, &rep, NULL), 0);
	ts_table_unmap(table);
	close(table_fd);
	close(fd);
	close_fixture(&f);
}

static void path_is_for_the_owner_only(void **state)
{
	char dir[] = "/tmp/host-test-XXXXXX";
	struct ts_host_config config = {.timeout_s = 1};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct fixture f;
	struct stat st;
	char path[64];
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/broker", dir);
	/* Left behind by a host that was killed. */
	close(open(path, O_CREAT | O_RDONLY | O_CLOEXEC, 0644));
	config.socket_path = path;
	umask(0);
	open_fixture_with(&f, config, TS_RUNNING);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_string_equal(f.info.broker_path, path);
	strcpy(addr.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
	close(fd);
	close_fixture(&f);
	assert_int_equal(stat(path, &st), -1);
	rmdir(dir);
}

/* Runs ask in a process of another uid that is no descendant of the host's:
 * its parent has gone. Returns what ask returned. */
static int as_stranger(struct fixture *f, int (*ask)(struct fixture *f))
{
	int result = -1;
	int out[2];
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	pid = fork();
	if (pid == 0) {
		struct pollfd orphaned = {.fd = out[0], .events = 0};
		pid_t parent = getpid();

		if (fork() != 0)
			_exit(0);
		while (getppid() == parent)
			poll(&orphaned, 1, 1);
		if (setgid(OTHER_UID) || setuid(OTHER_UID))
			_exit(1);
		result = ask(f);
		if (write(out[1], &result, sizeof(result)) < 0)
			_exit(1);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	close(out[1]);
	assert_int_equal(read(out[0], &result, sizeof(result)),
			 sizeof(result));
	close(out[0]);
	return result;
}

static int ask_without_token(struct fixture *f)
{
	struct ts_broker_reply rep;
	int fd = broker_connect(f->abstract_name);

	send_request(fd, &attach, -1);
	return receive_reply(fd, &rep, NULL) > 0 ? rep.error : -1;
}

static int ask_with_token(struct fixture *f)
{
	struct ts_broker_request req = attach;
	struct ts_broker_reply rep;
	int fd = broker_connect(f->abstract_name);

	memcpy(req.token, f->info.token, sizeof(req.token));
	send_request(fd, &req, -1);
	return receive_reply(fd, &rep, NULL) > 0 ? rep.error : -1;
}

static void strangers_need_the_token(void **state)
{
	struct fixture f;

	(void)state;
	if (!has_other_uids())
		skip();
	open_fixture(&f);
	assert_int_equal(as_stranger(&f, ask_without_token), EACCES);
	assert_int_equal(as_stranger(&f, ask_with_token), 0);
	close_fixture(&f);
}

/* Another uid, but a child of the host's process (a worker that setuid). */
static void descendants_may_ask(void **state)
{
	struct fixture f;
	int status;
	pid_t pid;

	(void)state;
	if (!has_other_uids())
		skip();
	open_fixture(&f);
	pid = fork();
	if (pid == 0) {
		pid_t child = fork();

		if (child == 0) {
			if (setgid(OTHER_UID) || setuid(OTHER_UID))
				_exit(2);
			_exit(ask_without_token(&f) == 0 ? 0 : 1);
		}
		waitpid(child, &status, 0);
		_exit(WEXITSTATUS(status));
	}
	waitpid(pid, &status, 0);
	assert_int_equal(WEXITSTATUS(status), 0);
	close_fixture(&f);
}

/* Many that say nothing do not keep others from being served. */
static int crowd_then_ask(struct fixture *f)
{
	int crowd[300];

	for (size_t i = 0; i < 300; i++)
		crowd[i] = broker_connect(f->abstract_name);
	(void)crowd;
	return ask_with_token(f);
}

static void silent_strangers_make_room(void **state)
{
	struct fixture f;

	(void)state;
	if (!has_other_uids())
		skip();
	open_fixture(&f);
	assert_int_equal(as_stranger(&f, crowd_then_ask), 0);
	close_fixture(&f);
}

static void slow_client_blocks_nobody(void **state)
{
	struct fixture f;
	struct ts_broker_reply rep;
	int slow;

	(void)state;
	open_fixture(&f);
	slow = broker_connect(f.abstract_name);
	for (int i = 0; i < 100; i++)
		assert_int_equal(request(&f, &attach, -1).error, 0);
	/* After the limit it is hung up on. */
	assert_int_equal(receive_reply(slow, &rep, NULL), 0);
	close(slow);
	close_fixture(&f);
}

static void garbage_is_hung_up_on(void **state)
{
	uint8_t good[TS_BROKER_MESSAGE_MAX], bad[TS_BROKER_MESSAGE_MAX * 2];
	struct fixture f;
	struct ts_broker_reply rep;
	int len = ts_broker_write_request(&attach, good, sizeof(good));

	(void)state;
	open_fixture(&f);
	memset(bad, 0xff, sizeof(bad));
	for (int cut = 1; cut <= len; cut++) {
		int fd = broker_connect(f.abstract_name);

		send_with_fds(fd, cut < len ? good : bad, (size_t)cut, NULL, 0);
		assert_int_equal(receive_reply(fd, &rep, NULL), 0);
		close(fd);
	}
	for (int i = 0; i < 2; i++) { /* too long */
		int fd = broker_connect(f.abstract_name);

		send_with_fds(fd, bad, sizeof(bad), NULL, 0);
		assert_int_equal(receive_reply(fd, &rep, NULL), 0);
		close(fd);
	}
	assert_int_equal(request(&f, &attach, -1).error, 0);
	close_fixture(&f);
}

/* fds that nobody asked for are closed: the pipes' readers see the end. */
static void unwanted_fds_are_closed(void **state)
{
	static const struct ts_broker_request reverse = {
		.type = TS_BROKER_REVERSE};
	uint8_t out[TS_BROKER_MESSAGE_MAX];
	struct fixture f;
	int len = ts_broker_write_request(&reverse, out, sizeof(out));

	(void)state;
	open_fixture(&f);
	for (size_t count = 1; count <= 8; count++) {
		int pipes[2], fds[8];
		int fd = broker_connect(f.abstract_name);
		char byte;

		assert_int_equal(pipe(pipes), 0);
		for (size_t i = 0; i < count; i++)
			fds[i] = pipes[1];
		send_with_fds(fd, out, (size_t)len, fds, count);
		close(pipes[1]);
		assert_true(wait_for(pipes[0], POLLIN) & POLLHUP);
		assert_int_equal(read(pipes[0], &byte, 1), 0);
		close(pipes[0]);
		close(fd);
	}
	close_fixture(&f);
}

static struct ts_broker_request resolve_request(const char *name,
						uint8_t flags)
{
	struct ts_broker_request req = {.type = TS_BROKER_RESOLVE,
					.flags = flags};

	snprintf(req.name, sizeof(req.name), "%s", name);
	return req;
}

static void resolves_names(void **state)
{
	struct ts_broker_request req =
		resolve_request("peer", TS_BROKER_WANT_V4 | TS_BROKER_WANT_V6);
	struct ts_broker_request reverse = {.type = TS_BROKER_REVERSE,
					    .tailnet = {.ip = fake_ip(PEER)}};
	struct ts_ip v4 = fake_ip(PEER), v6 = fake_ip("fd7a:115c:a1e0::2");
	struct fixture f;
	struct ts_broker_reply rep;

	(void)state;
	open_fixture(&f);
	rep = request(&f, &req, -1);
	assert_int_equal(rep.error, 0);
	assert_int_equal(rep.answer, TS_ANSWER_FOUND);
	assert_int_equal(rep.addr_count, 2);
	assert_true(ts_ip_equal(&rep.addrs[0], &v4));
	assert_true(ts_ip_equal(&rep.addrs[1], &v6));
	assert_string_equal(rep.name, "peer.ts.net");
	req = resolve_request("peer", TS_BROKER_WANT_V6);
	rep = request(&f, &req, -1);
	assert_int_equal(rep.addr_count, 1);
	req = resolve_request("nobody.ts.net", TS_BROKER_WANT_V4);
	assert_int_equal(request(&f, &req, -1).answer, TS_ANSWER_NXDOMAIN);
	req = resolve_request("example.com", TS_BROKER_WANT_V4);
	assert_int_equal(request(&f, &req, -1).answer, TS_ANSWER_NOT_OURS);
	rep = request(&f, &reverse, -1);
	assert_int_equal(rep.answer, TS_ANSWER_FOUND);
	assert_string_equal(rep.name, "peer.ts.net");
	reverse.tailnet.ip = fake_ip("192.0.2.1");
	assert_int_equal(request(&f, &reverse, -1).answer, TS_ANSWER_NOT_OURS);
	close_fixture(&f);
}

static void give_netmap(struct fixture *f, void *ctx)
{
	(void)ctx;
	make_self(&f->node);
	ts_host_netmap_changed(f->host);
}

static void names_wait_for_the_netmap(void **state)
{
	struct ts_host_config config = {.timeout_s = 5};
	struct ts_broker_request req =
		resolve_request("peer", TS_BROKER_WANT_V4);
	struct ts_broker_reply rep;
	struct fixture f;
	struct pollfd p = {.events = POLLIN};
	int gone;

	(void)state;
	open_fixture_with(&f, config, TS_STARTING);
	gone = broker_connect(f.abstract_name);
	send_request(gone, &req, -1);
	p.fd = broker_connect(f.abstract_name);
	send_request(p.fd, &req, -1);
	close(gone); /* does not wait for it */
	assert_int_equal(poll(&p, 1, 20), 0);
	on_loop(&f, give_netmap, NULL);
	assert_true(receive_reply(p.fd, &rep, NULL) > 0);
	assert_int_equal(rep.answer, TS_ANSWER_FOUND);
	close(p.fd);
	close_fixture(&f);
}

static void names_do_not_wait_for_ever(void **state)
{
	struct ts_host_config config = {.timeout_s = 1};
	struct ts_broker_request req =
		resolve_request("peer", TS_BROKER_WANT_V4);
	struct fixture f;

	(void)state;
	open_fixture_with(&f, config, TS_NEEDS_LOGIN);
	assert_int_equal(request(&f, &req, -1).error, ETIMEDOUT);
	close_fixture(&f);
	open_fixture_with(&f, config, TS_STOPPED);
	assert_int_equal(request(&f, &req, -1).answer, TS_ANSWER_NOT_OURS);
	close_fixture(&f);
}

static void names_fail_where_no_login_will_come(void **state)
{
	struct ts_host_config config = {.timeout_s = 5};
	struct ts_broker_request req =
		resolve_request("peer", TS_BROKER_WANT_V4);
	struct ts_broker_request bind = {.type = TS_BROKER_BIND,
					 .proto = IPPROTO_TCP,
					 .tailnet = fake_addr(SELF ":80")};
	struct fixture f;

	(void)state;
	open_fixture_with(&f, config, TS_NEEDS_LOGIN);
	f.node.error = "invalid key";
	assert_int_equal(request(&f, &req, -1).error, ENETDOWN);
	assert_int_equal(request(&f, &bind, -1).error, EADDRNOTAVAIL);
	close_fixture(&f);
}

/* The token of a host that was here before: only ATTACH is answered. */
static void stale_tables_are_told_so(void **state)
{
	struct ts_broker_request req =
		resolve_request("peer", TS_BROKER_WANT_V4);
	struct ts_broker_request again = attach;
	struct fixture f;

	(void)state;
	open_fixture(&f);
	assert_int_equal(request(&f, &req, -1).error, 0);
	memcpy(req.token, f.info.token, sizeof(req.token));
	assert_int_equal(request(&f, &req, -1).error, 0);
	req.token[3] ^= 1;
	assert_int_equal(request(&f, &req, -1).error, ESTALE);
	memcpy(again.token, req.token, sizeof(again.token));
	assert_int_equal(request(&f, &again, -1).error, 0);
	close_fixture(&f);
}

static struct ts_peer *add_peer(struct ts_netmap *map, int64_t id)
{
	struct ts_peer *peer = calloc(1, sizeof(*peer));

	assert_non_null(peer);
	peer->id = id;
	assert_int_equal(ts_key_map_put(&map->peers_by_id, &id, peer), 0);
	return peer;
}

static void give_routes(struct fixture *f, void *ctx)
{
	const int *count = ctx;

	for (int i = 0; i < *count; i++) {
		struct ts_peer *peer = add_peer(f->node.map, i + 2);
		char text[32];

		peer->allowed_ips = calloc(3, sizeof(struct ts_prefix));
		peer->allowed_ip_count = 3;
		snprintf(text, sizeof(text), "10.%d.0.0/16", i);
		ts_prefix_parse(text, &peer->allowed_ips[0]);
		ts_prefix_parse("0.0.0.0/0", &peer->allowed_ips[1]);
		ts_prefix_parse("100.64.7.7/32", &peer->allowed_ips[2]);
	}
	ts_host_netmap_changed(f->host);
}

static void accept_routes(struct fixture *f, void *ctx)
{
	(void)ctx;
	f->node.prefs.route_all = true;
	ts_host_netmap_changed(f->host);
}

struct prefix_look {
	size_t prefix_count;
	bool is;
};

static void look_prefixes(struct fixture *f, void *ctx)
{
	struct prefix_look *look = ctx;
	struct ts_table_info info;

	assert_true(ts_table_read_info(ts_host_table(f->host), &info));
	look->is = info.prefix_count == look->prefix_count;
}

static void accepted_routes_are_published(void **state)
{
	struct ts_ip inside = fake_ip("10.3.1.1"), outside = fake_ip("8.8.8.8");
	struct prefix_look look;
	struct fixture f;
	int count = 150;

	(void)state;
	open_fixture(&f);
	on_loop(&f, give_routes, &count);
	look.prefix_count = 2;
	assert_true(eventually(&f, look_prefixes, &look, &look.is));
	assert_false(ts_table_claims(ts_host_table(f.host), &inside));
	on_loop(&f, accept_routes, NULL);
	look.prefix_count = TS_TABLE_PREFIX_MAX;
	assert_true(eventually(&f, look_prefixes, &look, &look.is));
	assert_false(ts_table_claims(ts_host_table(f.host), &outside));
	close_fixture(&f);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(attach_gives_the_table),
	cmocka_unit_test(path_is_for_the_owner_only),
	cmocka_unit_test(strangers_need_the_token),
	cmocka_unit_test(descendants_may_ask),
	cmocka_unit_test(silent_strangers_make_room),
	cmocka_unit_test(slow_client_blocks_nobody),
	cmocka_unit_test(garbage_is_hung_up_on),
	cmocka_unit_test(unwanted_fds_are_closed),
	cmocka_unit_test(resolves_names),
	cmocka_unit_test(names_wait_for_the_netmap),
	cmocka_unit_test(names_do_not_wait_for_ever),
	cmocka_unit_test(names_fail_where_no_login_will_come),
	cmocka_unit_test(stale_tables_are_told_so),
	cmocka_unit_test(accepted_routes_are_published),
};

RUN_IN_EMPTY_NET(tests)
