// A page without anything of its own to do: the keys that work everywhere.
import { Keys } from "./keys.js";

new Keys("This page").start();
