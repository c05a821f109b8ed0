"""Write values.json. A change of any value in it is a new version of the stream."""

from golden.cases import VALUES, write

if __name__ == "__main__":
    write()
    print(f"wrote {VALUES}")
