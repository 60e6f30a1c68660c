"""nginx with nchan (Debian: libnginx-mod-nchan), as well set up for event streams as we know how."""
import os
import shutil
import signal
import subprocess
import tempfile

from sluicetest import _before_exec, free_port, until, Client

NGINX = "/usr/sbin/nginx"
MODULE = "/usr/lib/nginx/modules/ngx_nchan_module.so"

# One listening socket for each worker, which share the subscribers evenly; enough shared memory and
# a buffer so long that nothing is lost to it; no log, no limit on requests of a connection.
CONFIG = """
load_module %(module)s;
worker_processes auto;
worker_rlimit_nofile 20000;
pid %(dir)s/pid;
error_log %(dir)s/error.log warn;
events { worker_connections %(connections)d; use epoll; }
http {
    access_log off;
    %(pools)s
    client_body_temp_path %(dir)s/body;
    proxy_temp_path %(dir)s/proxy;
    fastcgi_temp_path %(dir)s/fastcgi;
    uwsgi_temp_path %(dir)s/uwsgi;
    scgi_temp_path %(dir)s/scgi;
    client_body_buffer_size 64k;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    nchan_shared_memory_size 512M;
    nchan_message_buffer_length 20000;
    nchan_message_timeout 60s;
    server {
        listen 127.0.0.1:%(port)d reuseport backlog=4096;
        location = /pub { nchan_publisher; nchan_channel_id $arg_id; }
        location = /sub {
            nchan_subscriber eventsource;
            nchan_channel_id $arg_id;
            nchan_subscriber_first_message newest;
            nchan_eventsource_ping_interval 0;
        }
        location = /status { nchan_stub_status; }
    }
}
"""


def is_there():
    return os.access(NGINX, os.X_OK) and os.path.exists(MODULE)


class Nchan:
    name = "nchan"
    publish, subscribe = {"path": "/pub?id=news"}, {"path": "/sub?id=news"}

    pools = ""  # of nginx: its own sizes

    def __init__(self, connections=12000):
        self.connections, self.port = connections, free_port()
        self.address = "127.0.0.1:%d" % self.port

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="sluice-nchan-")
        os.chmod(self.folder, 0o755)
        path = os.path.join(self.folder, "nginx.conf")
        with open(path, "w") as f:
            f.write(CONFIG % {"module": MODULE, "dir": self.folder, "connections": self.connections,
                              "port": self.port, "pools": self.pools})
        self.process = subprocess.Popen([NGINX, "-c", path, "-p", self.folder, "-g", "daemon off;"],
                                        preexec_fn=_before_exec)
        until(self.answers, what="nginx answers")
        return self

    def answers(self):
        try:
            with Client(self.port) as c:
                return c.ask("GET", "/status").status == 200
        except OSError:
            assert self.process.poll() is None, "nginx ended with %s" % self.process.returncode
            return False

    def pids(self):
        with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)) as f:
            return [self.process.pid] + [int(x) for x in f.read().split()]

    def status(self):
        with Client(self.port) as c:
            return c.ask("GET", "/status").text

    def log(self):
        with open(os.path.join(self.folder, "error.log"), errors="replace") as f:
            return f.read()

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)
