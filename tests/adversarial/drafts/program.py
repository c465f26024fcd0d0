# expect: blocked
# class: escape
# tries: Starts a program that does its work.
# held by: seccomp refuses programs
import subprocess


def kernel(u, out):
    subprocess.run(["/bin/true"], check=True)
