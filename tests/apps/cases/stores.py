# SPDX-License-Identifier: BSD-3-Clause
"""Databases, caches and message brokers."""
from case import Call, Case, Server

TITLE = "Stores and message brokers"
REDIS = ("exec redis-server --bind 0.0.0.0 --protected-mode no --save '' "
         "--port %s")
# A large key, and the server's list of clients has the caller.
SET_GET = """
redis-cli -h @host@ -p 7379 -x set big <@www@/big >/dev/null &&
redis-cli -h @host@ -p 7379 get big | head -c 4194304 | cmp - @www@/big &&
redis-cli -h @host@ -p 7379 client list | cut -d' ' -f2"""
PG = "$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)"
INIT_PG = f"""
mkdir pg && chown postgres pg &&
setpriv --reuid=postgres --regid=postgres --clear-groups {PG}/initdb \
-A trust -N -D @dir@/pg >/dev/null &&
echo 'host all all all trust' >>pg/pg_hba.conf"""
PGBENCH = f"{PG}/pgbench -h @host@ -p 7000 -U postgres"
INIT_MARIA = """
mkdir my && chown mysql my && mariadb-install-db --no-defaults --user=mysql \
--datadir=@dir@/my --auth-root-authentication-method=normal --skip-test-db"""
MARIA = "mariadb --no-defaults -h @host@ -P 7000 -u peer --password=secret "
RABBIT_ENV = """
export RABBITMQ_MNESIA_BASE=@dir@/rabbit RABBITMQ_LOG_BASE=@dir@/rabbit
export RABBITMQ_NODENAME=r@localhost RABBITMQ_CONFIG_FILE=@dir@/rabbit.conf
export RABBITMQ_ENABLED_PLUGINS_FILE=@dir@/plugins HOME=@dir@
export RABBITMQ_PID_FILE=@dir@/rabbit.pid ERL_EPMD_ADDRESS=127.0.0.1
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='+S 2:2'
export RABBITMQ_DIST_PORT=25672
"""

CASES = [
    Case("redis", "set and get of 4 MiB; the list of clients", "redis",
         [Server(REDIS % 7379, tcp=7379)],
         [Call(SET_GET, has=("addr=@client@:",)),
          Call("redis-cli -h @host@ -p 7380 ping", code=1,
               has=("Connection refused",))]),
    Case("redis-benchmark", "50 connections, pipelines", "redis",
         [Server(REDIS % 7379, tcp=7379)],
         [Call("redis-benchmark -h @host@ -p 7379 -n 5000 -c 50 -P 4 "
               "-t set,get,lpush -q && redis-cli -h @host@ -p 7379 "
               "client list", has=("SET: [0-9]", "GET: [0-9]",
                                   "addr=@client@:"))]),
    Case("redis-replication", "a server that is a client: 8 MiB, then more",
         "redis",
         [Server(REDIS % 7379 + " --repl-diskless-sync yes "
                 "--repl-diskless-sync-delay 0", tcp=7379,
                 probe="redis-cli -p 7379 -x set big <@www@/big"),
          Server(REDIS % 7380 + " --replicaof @name:server@ 7379",
                 name="copy", tcp=7380,
                 probe="redis-cli -p 7380 info replication | "
                       "grep -q master_link_status:up"),
          Server(REDIS % 7381 + " --replicaof @ip:server@ 7379",
                 name="other", tcp=7381,
                 probe="redis-cli -p 7381 info replication | "
                       "grep -q master_link_status:up")],
         [Call("redis-cli -p 7379 set after sync; for p in 7380 7381; do "
               "for i in 1 2 3 4 5 6 7 8 9; do redis-cli -p $p get after | "
               "grep -q sync && break; sleep 0.3; done; "
               "redis-cli -p $p strlen big; redis-cli -p $p get after; done; "
               "redis-cli -p 7379 info replication", native=True,
               by=("name",), has=("4194304\\nsync\\n4194304\\nsync",
                                  "ip=@copy@,port=7380", "ip=@other@,"))]),
    Case("redis-daemonize", "the server leaves its parent", "redis",
         [Server(REDIS % 7379 + " --daemonize yes --logfile @dir@/redis.log "
                 "--pidfile @dir@/redis.pid", tcp=7379)],
         [Call(SET_GET, has=("addr=@client@:",)),
          Call(SET_GET, has=("addr=@client@:",))]),
    Case("memcached", "text protocol, 4 threads", "memcached",
         [Server("exec memcached -p 7000 -l 0.0.0.0 -U 0 -t 4 -vv",
                 tcp=7000, user="nobody")],
         [Call("/usr/bin/python3 @dir@/mc.py @host@",
               out="STORED VALUE k 0 100000 same\n@client@\n")],
         files={"mc.py": """
import socket, sys
s = socket.create_connection((sys.argv[1], 7000), 20)
f = s.makefile('rwb')
def ask(line):
    f.write(line + b'\\r\\n'); f.flush()
    return f.readline().decode().strip()
value = b'x' * 100000
print(ask(b'set k 0 0 100000\\r\\n' + value), ask(b'get k'),
      'same' if f.read(100000) == value else 'other')
f.readline(); f.readline()
f.write(b'stats conns\\r\\n'); f.flush()
own = s.getsockname()[1]
found = ''
while True:
    line = f.readline().decode().strip()
    if line == 'END': break
    if line.endswith(f':{own}') and ' tcp' in line and ':addr' in line:
        found = line.split('tcp', 1)[1].lstrip('6:').rsplit(':', 1)[0]
print(found.strip('[]'))
"""}, root=True),
    Case("postgres", "psql, a copy of 4 MiB, pgbench with new connections",
         "postgres, psql, pgbench",
         [Server(f"exec {PG}/postgres -D @dir@/pg -k @dir@/pg -h '*' -p 7000 "
                 "-F", tcp=7000, user="postgres",
                 probe=f"{PG}/pg_isready -h 127.0.0.1 -p 7000")],
         [Call(f"{PG}/psql -h @host@ -p 7000 -U postgres -Atc "
               "'select inet_client_addr(), inet_server_port()'",
               out="@client@|7000\n"),
          Call(f"{PGBENCH} -i -q postgres && {PGBENCH} -c 4 -j 2 -t 20 -C "
               "postgres", has=("processed: 80/80",)),
          Call(f"base64 -w 1000 @www@/big >t && {PG}/psql -h @host@ -p 7000 "
               "-U postgres -qc 'create table if not exists t(x text)' -c "
               "'truncate t' -c '\\copy t from t' && "
               f"{PG}/psql -h @host@ -p 7000 -U postgres -Atc "
               "'copy t to stdout' | cmp - t && echo same", has=("same",))],
         prepare=INIT_PG, root=True),
    Case("mariadb", "a table, a blob of 1 MiB, the caller's host",
         "mariadb",
         [Server("exec mariadbd --no-defaults --datadir=@dir@/my "
                 "--socket=@dir@/my/s --port=7000 --bind-address=0.0.0.0 "
                 "--skip-name-resolve --max-allowed-packet=16M "
                 "--innodb-flush-log-at-trx-commit=0 --skip-log-bin",
                 tcp=7000, user="mysql",
                 probe="mariadb --no-defaults -S @dir@/my/s -u root -e \"grant "
                       "all on *.* to peer@'%' identified by 'secret'; create "
                       "database if not exists d\"")],
         [Call(MARIA + "-Ne 'select substring_index(user(), \"@\", -1)'",
               out="@client@\n"),
          Call(MARIA + "--max-allowed-packet=16M -Ne \"create or replace table "
               "d.t (x longblob); insert into d.t values (repeat('ab', "
               "524288)); select md5(x) from d.t; select x from d.t\" | "
               "(read sum; tr -d '\\n' | md5sum | grep -q $sum && echo same)",
               out="same\n")],
         prepare=INIT_MARIA, root=True),
    Case("mosquitto", "publish and subscribe, 100 messages, retained",
         "mosquitto, mosquitto_pub",
         [Server("exec mosquitto -v -c @dir@/m.conf", tcp=7883)],
         [Call("mosquitto_pub -h @host@ -p 7883 -t r -r -m kept && "
               "mosquitto_sub -h @host@ -p 7883 -t r -C 1 -W 20", out="kept\n"),
          Call("SUB='mosquitto_sub -h @host@ -p 7883 -i me -c -q 1 -t t'; "
               "$SUB -E && seq 100 | mosquitto_pub -h @host@ -p 7883 -q 1 -t t "
               "-l && $SUB -C 100 -W 20 | sort -n | uniq | wc -l",
               out="100\n")],
         files={"m.conf": "listener 7883 0.0.0.0\nallow_anonymous true\n"
                          "user @user@\n"}),
    Case("rabbitmq", "Erlang: publish and consume 200 messages",
         "rabbitmq-server, amqp-publish",
         [Server(RABBIT_ENV + "exec /usr/lib/rabbitmq/bin/rabbitmq-server",
                 tcp=7672)],
         [Call("amqp-declare-queue --server=@host@ --port=7672 -q queue "
               ">/dev/null; seq 200 | amqp-publish --server=@host@ --port=7672 "
               "-r queue -l && amqp-consume --server=@host@ --port=7672 -q "
               "queue -c 200 ./emit | grep -c .", out="200\n",
               seconds=60)],
         files={"rabbit.conf": "listeners.tcp.1 = 0.0.0.0:7672\n"
                               "loopback_users = none\n"
                               "log.console = true\nlog.console.level = info\n",
                "plugins": "[].\n",
                "emit": "#!/bin/sh\ncat\necho\n"}, seconds=150),
]
